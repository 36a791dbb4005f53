"""The cells of a table that holds several candidates, and the footnotes they refer to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from rich.text import Text

from evalkit.verdict import CandidateVerdict

from ._blocks import Block
from ._details import remarks, throughout
from ._grid import Column
from ._lines import Line
from ._rows import MARKS, Row, is_shown, p_shown
from ._text import clean, count, interval, p_value, percent, points
from .terminal import STYLES

LEFT = {"", "note"}
Phrases = tuple[str, ...]
DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Compared:
    """Candidates over their lines, all against the same checkpoint."""

    def __init__(
        self, candidates: Sequence[CandidateVerdict], lines: Sequence[Line], alpha: float
    ) -> None:
        self.candidates, self.lines, self.alpha = candidates, lines, alpha
        self._known = [throughout(candidate) for candidate in candidates]

    def blocks(self, layout: Sequence[str]) -> list[Block]:
        """A block of names and the other's scores, then one of `layout` for each candidate."""
        return [self._first(), *(self._block(i, layout) for i in range(len(self.candidates)))]

    @property
    def footnotes(self) -> list[tuple[str, Phrases]]:
        """What is out of the ordinary, by the sign with which the table refers to it."""
        return [(_superscript(number), said) for said, number in self._numbers.items()]

    def _first(self) -> Block:
        columns = [Column("", right=False, elastic=True), Column("margin"), Column("score")]
        margins = [_margin(line) for line in self.lines]
        rows = [
            [Text(_name(line)), Text(margin), Text(percent(self._base(line)).replace("-", ""))]
            for line, margin in zip(self.lines, margins, strict=True)
        ]
        if not any(margins):
            columns, rows = [columns[0], columns[2]], [[row[0], row[2]] for row in rows]
        return Block(clean(self.candidates[0].against, 60), columns, rows)

    def _block(self, index: int, layout: Sequence[str]) -> Block:
        rows = [self._cells(line, line.found[index], index) for line in self.lines]
        names = [*layout, *(["note"] if any(cells.get("note") for cells in rows) else [])]
        columns = [Column("" if name in LEFT else name, right=name not in LEFT) for name in names]
        laid = [[cells.get(name, Text()) for name in names] for cells in rows]
        return Block(clean(self.candidates[index].name, 60), columns, laid)

    def _cells(self, line: Line, row: Row | None, index: int) -> dict[str, Text]:
        if row is None:
            return {}
        unit, cell = row.unit, row.cell
        style = STYLES[unit.verdict]
        unclear = unit.delta is not None and not is_shown(unit, self.alpha)
        found = {
            "": Text(MARKS[unit.verdict], style=style),
            "delta": Text("~" if unclear else points(unit.delta), style=style),
            "interval": Text(interval(unit.ci)),
            "p": Text(p_value(p_shown(unit))),
            "note": Text(_superscript(self._numbers.get(self._remark(line, row, index), 0))),
        }
        if cell is not None and cell.n:
            found |= {"score": Text(percent(cell.candidate_score)), "n": Text(count(cell.n))}
            found |= {"lost": Text(count(cell.lost)), "gained": Text(count(cell.gained))}
        return found

    def _base(self, line: Line) -> float | None:
        """The score of the checkpoint compared against, over the most items it was paired on."""
        cells = [row.cell for row in line.found if row and row.cell and row.cell.n]
        return max(cells, key=lambda cell: cell.n).baseline_score if cells else None

    def _remark(self, line: Line, row: Row, index: int) -> Phrases:
        said = remarks(row, self._known[index])
        before = row.cell.baseline_score if row.cell else None
        if before is not None and percent(before) != percent(self._base(line)):
            said.append(f"{percent(before)} before, on the items that both answered")
        return tuple(said)

    @cached_property
    def _numbers(self) -> dict[Phrases, int]:
        """Each remark with its number, in the order of reading."""
        found = (
            self._remark(line, row, index)
            for line in self.lines
            for index, row in enumerate(line.found)
            if row
        )
        told = dict.fromkeys(said for said in found if said)
        return {said: number for number, said in enumerate(told, 1)}


def _superscript(number: int) -> str:
    return str(number).translate(DIGITS) if number else ""


def _name(line: Line) -> str:
    if line.alone and line.task and line.task != line.domain:
        return f"{clean(line.domain, 60)} · {clean(line.task, 60)}"
    return clean(line.domain, 60) if line.alone or not line.task else f"  {clean(line.task, 60)}"


def _margin(line: Line) -> str:
    units = [row.unit for row in line.found if row and row.unit.margin is not None]
    return f"{percent(units[0].margin)}{'*' if units[0].gates else ' '}" if units else ""
