"""Margins that the data can hardly pass: refused as a gate before a verdict is drawn from them.

A unit whose margin an unchanged model passes less than every other time says something about the
exam, not about the candidate.  What did regress, or improve, is decided all the same: no margin
was in the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evalkit.comparison.policy import Policy
from evalkit.configuration.config import Loaded
from evalkit.stats.distributions import critical_value
from evalkit.stats.power import probability_of_pass, suggested_margin
from evalkit.verdict import CandidateVerdict, CellVerdict, Report, Unit

LEAST_CHANCE = 0.5
DECIDED = ("regressed", "improved", "invalid")


@dataclass(frozen=True, slots=True)
class Hopeless:
    """A margin in force that an unchanged model would pass less than every other time."""

    name: str  # the entry of `margins:`, a domain or a task
    margin: float
    chance: float
    suggested: float

    @property
    def words(self) -> str:
        """What is wrong, and the margin that would do."""
        return (
            f"a margin of {100 * self.margin:g} points is passed by an unchanged model in "
            f"{self.chance:.0%} of runs; {100 * self.suggested:g} points would do, "
            "or more items; `evalkit plan` tells how many"
        )


def hopeless(report: Report, policy: Policy) -> list[Hopeless]:
    """The margins that cannot gate these data, each once, at its widest standard error."""
    found: dict[str, Hopeless] = {}
    for candidate in report.candidates:
        for name, unit in _gating(candidate, policy):
            chance = _chance(unit)
            if chance < LEAST_CHANCE and (name not in found or chance < found[name].chance):
                margin = suggested_margin(_se(unit))
                found[name] = Hopeless(name, unit.margin or 0.0, chance, margin)
    return list(found.values())


def refuse(report: Report, policy: Policy, loaded: Loaded) -> None:
    """Raises ConfigError at the first margin that cannot gate, unless something regressed."""
    if report.exit_code == 1:
        return
    for each in hopeless(report, policy):
        hint = "; to gate by it all the same, write {points: …, gate: true}"
        raise loaded.error(("gate", "margins", each.name), each.words + hint)


def _gating(candidate: CandidateVerdict, policy: Policy) -> Iterator[tuple[str, Unit]]:
    """The undecided or passing units that gate by a margin, with the entry it stands in."""
    for unit in (*candidate.domains, *candidate.cells):
        if not unit.gates or not unit.margin or unit.ci is None or unit.verdict in DECIDED:
            continue
        cells = [cell for cell in candidate.cells if cell.domain == unit.domain]
        judged = [cell.task for cell in cells if "off" not in cell.flags]
        own = [unit.task] if isinstance(unit, CellVerdict) else judged if len(judged) == 1 else []
        name = next((name for name in (*own, unit.domain) if name in policy.margins), "")
        if name and name not in policy.forced and not policy.gating_cells.intersection(own):
            yield name, unit


def _se(unit: Unit) -> float:
    lower, upper = unit.ci or (0.0, 0.0)
    return (upper - lower) / (2 * critical_value(0.90))


def _chance(unit: Unit) -> float:
    return probability_of_pass(unit.margin or 0.0, _se(unit))
