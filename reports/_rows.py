"""What every table shows, in which order: the report without its looks.

The rule here: the worst comes first, and a domain of one task is one row, unless the two differ
in something that decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from evalkit.verdict import CandidateVerdict, CellVerdict, DomainVerdict, Outcome, Report, Unit

from ._text import plural

# Colour is never the only sign: each verdict has a mark of its own and a word.
MARKS = {
    "improved": "▲",
    "regressed": "▼",
    "no_regression": "·",
    "passed": "✓",
    "inconclusive": "?",
    "invalid": "✕",
}
WORST_FIRST: tuple[Outcome, ...] = (
    "regressed",
    "invalid",
    "inconclusive",
    "no_regression",
    "improved",
)
UNSHOWN = "no regression shown"
Kind = Literal["domain", "cell", "both"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a candidate's table: a domain, a cell of it, or a domain that is one cell."""

    kind: Kind
    unit: Unit
    cell: CellVerdict | None = None  # None: the mean of several cells

    @property
    def name(self) -> str:
        """What the line is about."""
        return self.cell.task if self.kind == "cell" and self.cell else self.unit.domain

    @property
    def flags(self) -> list[str]:
        """The flags of the unit and of the cell it stands for, each once."""
        return list(dict.fromkeys([*self.unit.flags, *(self.cell.flags if self.cell else [])]))


def word(verdict: str) -> str:
    """A verdict as people say it."""
    return verdict.replace("_", " ")


def claim(found: CandidateVerdict | Report) -> str:
    """What a whole candidate, or a whole report, claims.

    Where nothing gates, nothing can pass: all that may be said is that no regression was shown.
    """
    candidates = found.candidates if isinstance(found, Report) else [found]
    units = [unit for candidate in candidates for unit in (*candidate.domains, *candidate.cells)]
    if found.verdict == "passed" and units and not any(unit.gates for unit in units):
        return UNSHOWN
    fallen = [unit for unit in units if unit.verdict == "regressed" and not is_advisory(unit)]
    if found.verdict == "regressed" and fallen and all(map(_within_score, fallen)):
        return "out of bounds"
    return word(found.verdict)


def _within_score(unit: Unit) -> bool:
    """Whether a unit fails for how its answers ended alone."""
    fell = unit.ci is not None and unit.ci[1] < 0 and (unit.p_regressed_adjusted or 0.0) <= 0.05
    return any(flag.startswith("bound:") for flag in unit.flags) and not fell


def sign(found: CandidateVerdict | Report) -> str:
    """The mark of a claim: a tick only for what was held against a margin."""
    return "~" if claim(found) == UNSHOWN else MARKS[found.verdict]


def rows(candidate: CandidateVerdict) -> list[Row]:
    """The lines of a candidate's table: domains worst first, each with its cells worst first."""
    cells: dict[str, list[CellVerdict]] = {}
    for cell in candidate.cells:
        cells.setdefault(cell.domain, []).append(cell)
    groups = [_group(domain, cells.pop(domain.domain, [])) for domain in candidate.domains]
    groups += [[Row("cell", cell, cell) for cell in _sorted(rest)] for rest in cells.values()]
    return [row for group in sorted(groups, key=_group_order) for row in group]


def _group(domain: DomainVerdict, cells: list[CellVerdict]) -> list[Row]:
    if len(cells) == 1 and _says_the_same(domain, cells[0]):
        return [Row("both", domain, cells[0])]
    return [Row("domain", domain), *(Row("cell", cell, cell) for cell in _sorted(cells))]


def _says_the_same(domain: DomainVerdict, cell: CellVerdict) -> bool:
    # A lone cell that only detects may be inconclusive where its domain, with a margin, passes:
    # that says nothing more.  A regression or a gate of its own does.
    decides = cell.gates or cell.verdict in ("regressed", "invalid")
    return cell.verdict == domain.verdict or not decides


def asked(candidate: CandidateVerdict, cell: CellVerdict | None = None) -> list[CellVerdict]:
    """The cells whose samples there are: without those of exams in parts, whose parts have them.

    With `cell`, that one, or its parts.
    """
    if cell is None:
        return [each for each in candidate.cells if not each.parts]
    parts = [each for each in candidate.cells if each.task in cell.parts]
    return parts if cell.parts else [cell]


def to_read(candidate: CandidateVerdict, cell: CellVerdict) -> str:
    """The task whose samples show a cell: itself, or the part that fell most; "" without any."""
    found = [each for each in asked(candidate, cell) if each.delta is not None]
    return min(found, key=lambda each: each.delta or 0.0).task if found else ""


def is_advisory(unit: Unit) -> bool:
    """Whether the unit counts for nothing: its judge is too weak, or it is displayed only."""
    return bool({"advisory", "off"} & {*unit.flags})


def severity(unit: Unit) -> tuple[bool, int, bool, float]:
    """What to sort by: counts at all, verdict, gating before detecting, the largest fall."""
    place = WORST_FIRST.index(unit.verdict)
    return (is_advisory(unit), place, not unit.gates, unit.delta or 0.0)


def _sorted(cells: list[CellVerdict]) -> list[CellVerdict]:
    return sorted(cells, key=lambda cell: (*severity(cell), cell.task))


def _group_order(group: list[Row]) -> tuple[tuple[bool, int, bool, float], str]:
    return (min(severity(row.unit) for row in group), group[0].unit.domain)


def in_reading_order(report: Report) -> list[CandidateVerdict]:
    """All candidates against the baseline, then those against another parent."""
    return sorted(report.candidates, key=lambda candidate: candidate.against != report.baseline)


def against_baseline(report: Report, lines: int) -> list[CandidateVerdict]:
    """The candidates against the baseline; the worst first where they need more lines than that."""
    found = [each for each in report.candidates if each.against == report.baseline]
    if sum(len(each.domains) + 1 for each in found) <= lines:
        return found
    return sorted(found, key=lambda each: min(map(severity, each.domains or each.cells)))


def is_shown(unit: Unit, alpha: float) -> bool:
    """Whether a change is shown in either direction; where it is not, tables print `~`.

    Of what is displayed only nothing is tested: its figures are all that there is to say.
    """
    if unit.verdict in ("improved", "regressed") or "off" in unit.flags:
        return True
    ps = (unit.p_regressed_adjusted, unit.p_improved_adjusted)
    return any(p is not None and p <= alpha for p in ps)


def p_shown(unit: Unit) -> float | None:
    """The adjusted p-value of the direction in which the estimate points."""
    if unit.delta is None:
        return None
    return unit.p_improved_adjusted if unit.delta > 0 else unit.p_regressed_adjusted


def tally(candidate: CandidateVerdict) -> str:
    """`1 regressed, 2 improved of 5 domains`, and what the domains alone would hide."""
    all_units: list[DomainVerdict] | list[CellVerdict] = candidate.domains or candidate.cells
    units = [unit for unit in all_units if not is_advisory(unit)]
    noun = "domain" if candidate.domains else "task"
    found = Counter(unit.verdict for unit in units)
    told = [f"{found[verdict]} {word(verdict)}" for verdict in WORST_FIRST if found[verdict]]
    line = f"{', '.join(told)} of {plural(len(units), noun)}" if told else "nothing that counts"
    off = sum("off" in unit.flags for unit in all_units)
    advisory = len(all_units) - len(units) - off
    behind = ["on the way, decides nothing"] if candidate.on_the_way else []
    told = [f"{off} displayed only"] if off else []
    told += [f"{advisory} advisory"] if advisory else []
    return "; ".join([line, *_hidden(candidate), *told, *behind])


def _hidden(candidate: CandidateVerdict) -> Iterator[str]:
    fallen = {domain.domain for domain in candidate.domains if domain.verdict == "regressed"}
    alone = sum(
        cell.verdict == "regressed" and cell.domain not in fallen and not is_advisory(cell)
        for cell in candidate.cells
    )
    if candidate.domains and alone:
        yield f"{plural(alone, 'regressed task')} inside other domains"
    small = sum("small_decline" in domain.flags for domain in candidate.domains)
    if small:
        yield f"{plural(small, 'small decline')} shown"
