"""Aligned columns of a fixed total width, with lines of free text between the rows."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, which side it leans to, and whether it gives way."""

    heading: str
    right: bool = True
    elastic: bool = False  # takes what the others leave


def widths(columns: list[Column], rows: list[list[Text]], total: int) -> list[int]:
    """The width of each column: that of its widest cell; the elastic one at most the rest."""
    natural = [
        max([cell_len(column.heading), *(row[index].cell_len for row in rows)])
        for index, column in enumerate(columns)
    ]
    gaps = len(GAP) * (len(columns) - 1)
    fixed = sum(w for w, column in zip(natural, columns, strict=True) if not column.elastic)
    rest = max(8, total - gaps - fixed)
    return [
        min(w, rest) if column.elastic else w for w, column in zip(natural, columns, strict=True)
    ]


def line(cells: list[Text], columns: list[Column], sizes: list[int]) -> Text:
    """One row of the grid; what does not fit ends in an ellipsis."""
    laid = []
    for cell, column, size in zip(cells, columns, sizes, strict=True):
        text = cell.copy()
        text.truncate(size, overflow="ellipsis")
        room = " " * (size - text.cell_len)
        laid.append(Text.assemble(room, text) if column.right else Text.assemble(text, room))
    return Text(GAP).join(laid)


def packed(phrases: list[str], width: int) -> list[str]:
    """The phrases with dots between them, broken into lines only between phrases."""
    lines: list[str] = []
    for phrase in phrases:
        longer = f"{lines[-1]} · {phrase}" if lines else phrase
        if lines and cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(phrase)
    return lines
