"""What stands under a row: why, what changed sides, and how its answers ended."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from evalkit.verdict import CandidateVerdict, CellVerdict

from ._outcomes import troubles
from ._rows import Row
from ._text import clean, count, interval, p_value, percent, plural, points

SHOWN = 0.05
# These only say that there are differences, or broken bounds, which are spelt out.
SPELT_OUT = ("treatment", "environment", "bound:", "off")


def details(row: Row, known: Collection[str] = ()) -> list[str]:
    """Short phrases about one row, the most telling first, less the differences known already."""
    phrases = (
        *_named(row),
        *_why(row),
        *untrained(row.cell),
        *_flips(row),
        *_ends(row),
        *_could(row),
    )
    return [clean(phrase, 400) for phrase in (*phrases, *_differs(row, known))]


def remarks(row: Row, known: Collection[str] = ()) -> list[str]:
    """Those of the phrases that are out of the ordinary: for a table that shows the rest."""
    phrases = (*_why(row), *untrained(row.cell), *_ends(row), *_differs(row, known))
    return [clean(phrase, 400) for phrase in phrases]


def throughout(candidate: CandidateVerdict) -> list[str]:
    """The differences that all of a candidate's tasks have: worth saying once."""
    if len(candidate.cells) < 2:
        return []
    first, *others = candidate.cells
    return [said for said in first.differences if all(said in cell.differences for cell in others)]


def _named(row: Row) -> Iterator[str]:
    if row.kind == "both" and row.cell is not None and row.cell.task != row.unit.domain:
        yield clean(row.cell.task, 60)


def _why(row: Row) -> Iterator[str]:
    if reason := row.unit.reason or (row.cell.reason if row.cell is not None else ""):
        yield reason
    yield from (flag for flag in row.flags if not _spelt_out(flag))


def untrained(cell: CellVerdict | None) -> Iterator[str]:
    """What is left of the difference without the items that were trained on."""
    note = cell.clean if cell is not None else None
    if note is None:
        return
    told = f"{points(note.delta)} {interval(note.ci)}" if note.ci else note.reason
    yield f"without {plural(note.touched, 'item')} in training data: {told}"


def _flips(row: Row) -> Iterator[str]:
    if row.cell is not None and (row.cell.lost or row.cell.gained):
        yield f"lost {count(row.cell.lost)}, gained {count(row.cell.gained)}"


def _could(row: Row) -> Iterator[str]:
    unit, cell = row.unit, row.cell
    unclear = unit.verdict == "inconclusive" and not unit.margin
    if unclear and cell is not None and cell.mde80 is not None:
        yield f"a fall of {percent(cell.mde80)} would show"


def _differs(row: Row, known: Collection[str]) -> Iterator[str]:
    differences = row.cell.differences if row.cell is not None else []
    if new := [said for said in differences if said not in known]:
        yield f"differs in {', '.join(new)}"


def _spelt_out(flag: str) -> bool:
    return flag.startswith(SPELT_OUT)


def _ends(row: Row) -> Iterator[str]:
    cell = row.cell
    if cell is None:
        return
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
