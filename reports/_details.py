"""What stands under a row: why, what changed sides, and how its answers ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from evalkit.verdict import CandidateVerdict, CellVerdict

from ._outcomes import troubles
from ._rows import Row
from ._text import clean, count, p_value, percent

SHOWN = 0.05
# These only say that there are differences, or broken bounds, which are spelt out.
SPELT_OUT = ("treatment", "environment", "bound:", "off")


def details(row: Row, known: Collection[str] = ()) -> list[str]:
    """Short phrases about one row, the most telling first, less the differences known already."""
    return [clean(phrase, 400) for phrase in _phrases(row, known)]


def throughout(candidate: CandidateVerdict) -> list[str]:
    """The differences that all of a candidate's tasks have: worth saying once."""
    if len(candidate.cells) < 2:
        return []
    first, *others = candidate.cells
    return [said for said in first.differences if all(said in cell.differences for cell in others)]


def _phrases(row: Row, known: Collection[str]) -> Iterator[str]:
    unit, cell = row.unit, row.cell
    if row.kind == "both" and cell is not None and cell.task != unit.domain:
        yield clean(cell.task, 60)
    if reason := unit.reason or (cell.reason if cell is not None else ""):
        yield reason
    yield from (flag for flag in row.flags if not _spelt_out(flag))
    if cell is None:
        return
    yield from _of_cell(cell)
    if unit.verdict == "inconclusive" and not unit.margin and cell.mde80 is not None:
        yield f"a fall of {percent(cell.mde80)} would show"
    if differences := [said for said in cell.differences if said not in known]:
        yield f"differs in {', '.join(differences)}"


def _spelt_out(flag: str) -> bool:
    return flag.startswith(SPELT_OUT)


def _of_cell(cell: CellVerdict) -> Iterator[str]:
    if cell.lost or cell.gained:
        yield f"lost {count(cell.lost)}, gained {count(cell.gained)}"
    for name, before, after in troubles(cell):
        yield f"{name} {count(before)} → {count(after)}"
    if cell.p_truncation is not None and cell.p_truncation <= SHOWN:
        yield f"more answers cut off (p {p_value(cell.p_truncation)})"
    if (shown := _completed(cell)) != _scores(cell):
        yield f"complete answers only {shown}"
    if cell.native is not None:
        yield f"in its own unit {cell.native[0]:.4g} → {cell.native[1]:.4g}"


def _scores(cell: CellVerdict) -> str:
    return f"{percent(cell.baseline_score)} → {percent(cell.candidate_score)}"


def _completed(cell: CellVerdict) -> str:
    """The scores on complete answers; all of them are, where nothing else is known."""
    if cell.completed is None:
        return _scores(cell)
    return f"{percent(cell.completed[0])} → {percent(cell.completed[1])}"
