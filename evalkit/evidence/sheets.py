"""Cells as the evidence needs them: each sample's score, and where the rest of its grade stands.

Scores are those that the comparison computes with (`evalkit/comparison/scores.py`); texts stay in
the table until one of them is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Arm, Floats, item_means
from evalkit.comparison.rows import Items, Numbers, Rows, coded
from evalkit.comparison.scores import of_table as arm_of
from evalkit.errors import StoreError
from evalkit.evidence.values import Graded
from evalkit.storage.store import Cell
from evalkit.storage.tables import SCORE_COLUMNS, read_table

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_CODES = ("outcome", "stratum", "cluster")


@dataclass(frozen=True)
class Sheet:
    """One cell's grades."""

    checkpoint: str  # as it is called in reports
    cell: Cell
    arm: Arm
    rows: Numbers  # (n, k) where each sample stands in the table; -1: nowhere
    table: pa.Table

    def text(self, name: str, row: int) -> str | None:
        """One value of the table."""
        found = self.table.column(name)[row].as_py()
        return None if found is None else str(found)


def read_sheet(cell: Cell, preset: str = "", checkpoint: str = "") -> Sheet:
    """A cell's grades; raises StoreError where they cannot be read."""
    path, meta = cell.scores_path(preset), cell.meta()
    if not path.exists():
        raise StoreError(f"no scores at {path}: restore the cell, or run again")
    table = read_table(path, [*SCORE_COLUMNS], dictionaries=TEXT_CODES)
    arm = arm_of(table, cell, meta, preset)
    rows = Rows.of(table).laid(np.arange(table.num_rows), -1)
    return Sheet(checkpoint or meta["checkpoint"]["name"], cell, arm, rows, table)


@dataclass(frozen=True)
class Side:
    """All samples of one side of a comparison: of one cell, or of one for each training seed."""

    sheets: tuple[Sheet, ...]
    items: Items  # (n,) sorted
    values: Floats  # (n, k) oriented to [0, 1]; NaN is missing
    rows: Numbers  # (n, k)
    sheet_of: Numbers  # (k,) which of the sheets each column belongs to

    @classmethod
    def of(cls, sheets: Sequence[Sheet]) -> Side:
        """The samples of the items that all sheets have, side by side."""
        items = sheets[0].arm.items
        for sheet in sheets[1:]:
            items = np.intersect1d(items, sheet.arm.items, assume_unique=True)
        places = [np.searchsorted(sheet.arm.items, items) for sheet in sheets]
        widths = [sheet.arm.epochs for sheet in sheets]
        both = list(zip(sheets, places, strict=True))
        return cls(
            tuple(sheets),
            items,
            np.hstack([sheet.arm.values[at] for sheet, at in both]),
            np.hstack([sheet.rows[at] for sheet, at in both]),
            np.repeat(np.arange(len(sheets)), widths),
        )

    def take(self, index: NDArray[np.intp]) -> Side:
        """The side restricted to some of its items."""
        return Side(
            self.sheets, self.items[index], self.values[index], self.rows[index], self.sheet_of
        )

    @property
    def means(self) -> Floats:
        """(n,) the mean of each item's samples; NaN where none is known."""
        return item_means(self.values)

    def text(self, name: str, item: int, column: int) -> str | None:
        """One value of a sample's grade."""
        row = int(self.rows[item, column])
        return None if row < 0 else self.sheets[self.sheet_of[column]].text(name, row)

    def item(self, index: int) -> bytes:
        """The identity of an item, whole: numpy would drop zeros at its end."""
        return self.items[index : index + 1].tobytes()

    def coded(self, name: str) -> tuple[tuple[str, ...], Numbers]:
        """(n,) a text of each item's first sample, as an index of its different values."""
        names, per_row = coded(self.sheets[0].table, name)
        return names, per_row[self.rows[:, 0]]

    def graded(self, item: int, column: int) -> Graded:
        """How one sample was graded."""
        sheet, row = self.sheets[self.sheet_of[column]], int(self.rows[item, column])
        if row < 0:
            return Graded(sheet.checkpoint, 0, float("nan"), None, "errored", "", row)
        told = {name: sheet.table.column(name)[row].as_py() for name in GRADE}
        return Graded(sheet.checkpoint, **told, row=row)


GRADE = ("epoch", "value", "answer", "outcome", "details")


def aligned(before: Side, after: Side) -> tuple[Side, Side]:
    """Both sides on the items they have in common."""
    _, left, right = np.intersect1d(
        before.items, after.items, assume_unique=True, return_indices=True
    )
    return before.take(left), after.take(right)
