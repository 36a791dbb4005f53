"""What stands under a row: why, what changed sides, and how its answers ended."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.verdict import CellVerdict

from ._outcomes import troubles
from ._rows import Row
from ._text import clean, count, percent


def details(row: Row) -> list[str]:
    """Short phrases about one row, the most telling first."""
    return [clean(phrase, 400) for phrase in _phrases(row)]


def _phrases(row: Row) -> Iterator[str]:
    unit, cell = row.unit, row.cell
    if row.kind == "both" and cell is not None and cell.task != unit.domain:
        yield clean(cell.task, 60)
    if reason := unit.reason or (cell.reason if cell is not None else ""):
        yield reason
    yield from row.flags
    if cell is not None:
        yield from _of_cell(cell)


def _of_cell(cell: CellVerdict) -> Iterator[str]:
    if cell.lost or cell.gained:
        yield f"lost {count(cell.lost)}, gained {count(cell.gained)}"
    for name, before, after in troubles(cell):
        yield f"{name} {count(before)} → {count(after)}"
    if cell.completed is not None:
        yield f"complete answers only {percent(cell.completed[0])} → {percent(cell.completed[1])}"
    if cell.native is not None:
        yield f"in its own unit {cell.native[0]:.4g} → {cell.native[1]:.4g}"
    if cell.differences or not cell.comparable:
        yield "differs: " + (", ".join(cell.differences) or "the exam")
