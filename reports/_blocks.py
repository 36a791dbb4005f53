"""Blocks of aligned columns side by side, each under a title of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from ._grid import GAP, Column, line, widths

BAR = " │ "


@dataclass(frozen=True, slots=True)
class Block:
    """Some columns of a table, and what stands above them."""

    title: str
    columns: list[Column]
    rows: list[list[Text]]

    def sizes(self, width: int) -> list[int]:
        """The widths of its columns within a total width."""
        return widths(self.columns, self.rows, width)

    def natural(self, name: int) -> int:
        """How wide it is when its elastic column is at most `name` wide."""
        sizes = self.sizes(10_000)
        taken = [
            min(size, name) if column.elastic else size
            for size, column in zip(sizes, self.columns, strict=True)
        ]
        return sum(taken) + len(GAP) * (len(taken) - 1)


def fits(blocks: Sequence[Block], width: int, name: int) -> bool:
    """Whether the blocks stand side by side, their elastic column `name` wide or less."""
    taken = sum(block.natural(name) for block in blocks) + len(BAR) * (len(blocks) - 1)
    return taken <= width


def laid(blocks: Sequence[Block], width: int) -> list[Text]:
    """The lines of the blocks side by side: titles, headings, rows; the first block gives way."""
    first, *others = blocks
    rest = sum(block.natural(0) + len(BAR) for block in others)
    columns = [_lines(first, width - rest), *(_lines(block, width) for block in others)]
    return [Text(BAR).join(parts) for parts in zip(*columns, strict=True)]


def _lines(block: Block, width: int) -> list[Text]:
    sizes = block.sizes(width)
    whole = sum(sizes) + len(GAP) * (len(sizes) - 1)
    title = Text(block.title, style="bold")
    title.truncate(whole, overflow="ellipsis", pad=True)
    heads = [Text(column.heading, style="dim") for column in block.columns]
    return [title, *(line(cells, block.columns, sizes) for cells in [heads, *block.rows])]
