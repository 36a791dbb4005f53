"""What stands in the page's tables, row by row and cell by cell."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from evalkit.verdict import CandidateVerdict, CellVerdict, Report, Unit

from ._details import details
from ._heat import Grid, grid
from ._outcomes import classes
from ._rows import Row, asked, in_reading_order, is_shown, severity
from ._text import percent, points

WORST_FIRST = ("regressed", "invalid", "inconclusive", "passed", "improved")


def counts(report: Report) -> list[tuple[str, int]]:
    """How many comparisons came to which verdict, the worst first."""
    found = Counter[str](candidate.verdict for candidate in report.candidates)
    return [(verdict, found[verdict]) for verdict in WORST_FIRST if found[verdict]]


def maps(report: Report) -> list[tuple[str, str, Grid]]:
    """(anchor, title, map) against the baseline, then against parents; where there is anything."""
    first = grid(report, lambda candidate: candidate.against == report.baseline)
    other = grid(report, lambda candidate: candidate.against != report.baseline)
    found = [("map", "Domains by checkpoint", first), ("parents", "Each against its parent", other)]
    return [each for each in found if each[2].domains]


def cells_of(candidate: CandidateVerdict, domain: str) -> list[CellVerdict]:
    """A domain's cells, the worst first."""
    return sorted((cell for cell in candidate.cells if cell.domain == domain), key=severity)


def compared(report: Report) -> list[tuple[CandidateVerdict, CellVerdict]]:
    """Every cell of every candidate that has samples of its own, in the order of reading."""
    return [(each, cell) for each in in_reading_order(report) for cell in asked(each)]


def ended(report: Report) -> list[tuple[CandidateVerdict, CellVerdict, str]]:
    """Every outcome class of every cell."""
    return [(each, cell, name) for each, cell in compared(report) for name in classes(cell)]


def differing(report: Report) -> list[tuple[CandidateVerdict, CellVerdict]]:
    """The cells whose two sides differ in more than the weights."""
    return [pair for pair in compared(report) if pair[1].differences or not pair[1].comparable]


def said_of(row: Row, known: list[str]) -> list[str]:
    """What stands under a row; the table has a column of its own for the task."""
    return details(replace(row, kind="cell") if row.kind == "both" else row, known)


def scores_of(cell: CellVerdict | None) -> str:
    """Both scores of a cell; nothing for a mean of several."""
    if cell is None or not cell.n:
        return ""
    return f"{percent(cell.baseline_score)} → {percent(cell.candidate_score)}"


def delta(unit: Unit, alpha: float) -> str:
    """The difference, or `~` where no change is shown."""
    return "~" if unit.delta is not None and not is_shown(unit, alpha) else points(unit.delta)
