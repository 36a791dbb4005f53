"""How much of a report a page has room for: everything, or so many of the worst of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from evalkit.verdict import CandidateVerdict, Overall, Report

from ._rows import Row, in_reading_order, is_advisory, rows, severity

T = TypeVar("T")
WORST_FIRST: tuple[Overall, ...] = ("regressed", "invalid", "inconclusive", "passed", "improved")
OVERVIEW = 10  # rows that are shown before anything is unfolded
LINES = 5  # times as many candidates have a line as have a table


@dataclass(frozen=True, slots=True)
class Room:
    """One step of cutting a report down."""

    cap: int | None = None  # rows of a table, entries of a list, candidates with a table
    sections: bool = True  # whether what only supports the tables is there

    def of(self, things: Sequence[T], times: int = 1) -> list[T]:
        """As many of the first as there is room for."""
        return list(things) if self.cap is None else list(things[: self.cap * times])

    def left(self, things: Sequence[T], times: int = 1) -> int:
        """How many there is no room for."""
        return len(things) - len(self.of(things, times))

    def rows(self, candidate: CandidateVerdict) -> list[Row]:
        """The worst rows of a candidate that there is room for, in the order of reading."""
        all_rows = rows(candidate)
        worst = sorted(all_rows, key=lambda row: severity(row.unit))
        kept = {id(row) for row in self.of(worst)}
        return [row for row in all_rows if id(row) in kept]

    def size(self, report: Report) -> int:
        """How many rows of tables are shown."""
        return sum(len(self.rows(candidate)) for candidate in self.candidates(report))

    def candidates(self, report: Report, times: int = 1) -> list[CandidateVerdict]:
        """The worst candidates that there is room for, in the order of reading."""
        everyone = in_reading_order(report)
        worst = sorted(everyone, key=lambda candidate: WORST_FIRST.index(candidate.verdict))
        kept = {id(candidate) for candidate in self.of(worst, times)}
        return [candidate for candidate in everyone if id(candidate) in kept]


STEPS = (
    Room(),
    Room(sections=False),
    *(Room(cap, sections=False) for cap in (100, 70, 50, 35, 25, 18, 12, 8, 5, 3, 2, 1)),
)
"""From everything to the least: first what only supports goes, then the better rows."""


def telling(report: Report) -> list[tuple[CandidateVerdict, Row]]:
    """The rows that changed, or hold a candidate up: of all candidates, the worst first.

    Of those against a parent only what the baseline has not told already.
    """
    found: dict[tuple[str, str, str], tuple[CandidateVerdict, Row]] = {}
    for candidate in in_reading_order(report):
        for row in rows(candidate):
            if _tells(row):
                key = (candidate.name, row.name, row.unit.verdict)
                found.setdefault(key, (candidate, row))
    return sorted(found.values(), key=lambda pair: severity(pair[1].unit))


def _tells(row: Row) -> bool:
    unit = row.unit
    undecided = unit.verdict in ("invalid", "inconclusive") and unit.gates
    return not is_advisory(unit) and (unit.verdict in ("regressed", "improved") or undecided)
