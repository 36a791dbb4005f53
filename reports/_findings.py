"""What got worse, by how much, how sure, and why: the sentences that open a page.

A skill is told once, by the candidate that it went worst for; the others stand beneath.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evalkit.verdict import CandidateVerdict, CellVerdict, Report

from ._details import untrained
from ._needed import needed
from ._outcomes import classes, troubles
from ._rows import MARKS, Row, in_reading_order, is_advisory, rows, severity, to_read, word
from ._text import clean, count, interval, p_value, percent, points

MOST, MOST_OTHERS = 6, 5


@dataclass(frozen=True, slots=True)
class Finding:
    """A domain or task that did not pass, in words."""

    verdict: str
    candidate: str
    against: str
    task: str  # whose samples show it; "" where there are none
    says: str  # what happened
    numbers: list[str]  # how sure that is
    why: list[str]
    also: list[str]  # other candidates that it did not pass for
    others: int  # how many more of them


def findings(report: Report) -> tuple[list[Finding], int]:
    """The worst first, and how many more there are."""
    groups: dict[str, list[tuple[CandidateVerdict, Row]]] = {}
    for candidate, row in sorted(_worth_telling(report), key=lambda pair: severity(pair[1].unit)):
        groups.setdefault(row.name, []).append((candidate, row))
    told = [_finding(pairs, report) for pairs in list(groups.values())[:MOST]]
    return told, len(groups) - len(told)


def _worth_telling(report: Report) -> Iterator[tuple[CandidateVerdict, Row]]:
    """Whatever regressed, and what gates and did not pass; of a parent only what is news."""
    known: set[tuple[str, str]] = set()
    for candidate in in_reading_order(report):
        for row in rows(candidate):
            unit, key = row.unit, (candidate.name, row.name)
            tells = unit.verdict == "regressed" or (
                unit.gates and unit.verdict in ("invalid", "inconclusive")
            )
            if tells and not is_advisory(unit) and key not in known:
                known.add(key)
                yield candidate, row


def _finding(pairs: list[tuple[CandidateVerdict, Row]], report: Report) -> Finding:
    (candidate, row), *others = pairs
    unit = row.unit
    cell = row.cell or _worst_cell(candidate, unit.domain)
    return Finding(
        verdict=unit.verdict,
        candidate=candidate.name,
        against=candidate.against,
        task=to_read(candidate, cell) if cell else "",
        says=_says(candidate, row),
        numbers=_numbers(row, report.ci_level),
        why=[clean(phrase, 300) for phrase in _why(row, cell)],
        also=[_also(*pair, report.baseline) for pair in others[:MOST_OTHERS]],
        others=max(0, len(others) - MOST_OTHERS),
    )


def _also(candidate: CandidateVerdict, row: Row, baseline: str) -> str:
    unit, name = row.unit, clean(candidate.name, 40)
    against = "" if candidate.against == baseline else f" against {clean(candidate.against, 40)}"
    told = points(unit.delta) if unit.verdict == "regressed" else word(unit.verdict)
    return f"{MARKS[unit.verdict]} {name}{against} {told} {interval(unit.ci) if unit.ci else ''}"


def _worst_cell(candidate: CandidateVerdict, domain: str) -> CellVerdict | None:
    cells = [cell for cell in candidate.cells if cell.domain == domain]
    return min(cells, key=severity) if cells else None


def _says(candidate: CandidateVerdict, row: Row) -> str:
    unit, name, who = row.unit, clean(row.name, 60), clean(candidate.name, 60)
    if unit.delta is None or unit.verdict == "invalid":
        return f"{name} of {who} was not measured"
    if unit.verdict == "inconclusive":
        return f"{name} of {who} cannot be told"
    if any(flag.startswith("bound:") for flag in unit.flags):
        return f"{name} of {who} breaks a bound"
    return f"{who} lost {points(unit.delta).lstrip('−')} points of {name}"


def _numbers(row: Row, level: float) -> list[str]:
    unit = row.unit
    if unit.delta is None or unit.ci is None:
        return []
    told = [f"{100 * level:.0f} % interval {interval(unit.ci)}"]
    if unit.verdict == "regressed":
        told.append(f"p {p_value(unit.p_regressed_adjusted)}")
    if unit.margin is not None:
        told.append(f"margin {percent(unit.margin)}")
    if row.cell and row.cell.n:
        scores = f"{percent(row.cell.baseline_score)} → {percent(row.cell.candidate_score)} %"
        told += [scores, f"n {count(row.cell.n)}"]
    return told


def _why(row: Row, cell: CellVerdict | None) -> Iterator[str]:
    unit = row.unit
    if unit.reason or (row.cell and row.cell.reason):
        yield unit.reason or (row.cell.reason if row.cell else "")
    if unit.verdict == "inconclusive":
        yield needed(row)
    if cell is None or unit.verdict == "invalid":
        return
    if cell.lost or cell.gained:
        within = "" if row.cell else f"{cell.task}: "
        yield f"{within}lost {count(cell.lost)}, gained {count(cell.gained)}"
    yield from untrained(cell)
    ended = [f"{count(n)} {name}" for name in classes(cell) if (n := cell.lost_to.get(name))]
    if len(ended) > 1:
        yield f"of the lost, {', '.join(ended)}"
    yield from (
        f"{name} answers {count(before)} → {count(after)}"
        for name, before, after in troubles(cell)
        if after > before
    )
    scores, complete = (cell.baseline_score, cell.candidate_score), cell.completed or (None, None)
    if cell.completed and [*map(percent, complete)] != [*map(percent, scores)]:
        yield f"complete answers only {percent(complete[0])} → {percent(complete[1])}"
