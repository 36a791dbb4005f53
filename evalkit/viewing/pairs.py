"""Two checkpoints in one task, all of their items: which moved, how they ended, in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Floats
from evalkit.comparison.rows import Numbers, coded
from evalkit.evidence.flips import flip_at, slices_of, telling_columns
from evalkit.evidence.sheets import Side
from evalkit.evidence.values import Flip, Moved

DIRECTIONS = ("lost", "gained", "same")


@dataclass(frozen=True)
class Pair:
    """Two sides on their common items."""

    before: Side
    after: Side

    @cached_property
    def change(self) -> Floats:
        """(n,) candidate − against; NaN where either is missing."""
        return self.after.means - self.before.means

    @cached_property
    def direction(self) -> NDArray[np.int8]:
        """(n,) as an index of `DIRECTIONS`."""
        return np.where(self.change < 0, 0, np.where(self.change > 0, 1, 2)).astype(np.int8)

    @cached_property
    def columns(self) -> tuple[Numbers, Numbers]:
        """(n,) the sample of each side by which an item is shown."""
        n = len(self.change)
        if self.before.values.shape[1] == self.after.values.shape[1] == 1:
            return np.zeros(n, np.intp), np.zeros(n, np.intp)
        chosen = [telling_columns(self.before, self.after, index) for index in range(n)]
        old, new = zip(*chosen, strict=True) if chosen else ((), ())
        return np.array(old, np.intp), np.array(new, np.intp)

    @cached_property
    def outcomes(self) -> tuple[list[str], Numbers]:
        """How the candidate's shown samples ended: names, and (n,) an index of them."""
        column = self.columns[1]
        names: dict[str, int] = {"errored": 0}
        ends = np.zeros(len(column), np.intp)
        for number, sheet in enumerate(self.after.sheets):
            known, per_row = coded(sheet.table, "outcome")
            index = np.array([names.setdefault(name, len(names)) for name in known], np.intp)
            rows = self.after.rows[np.arange(len(column)), column]
            mine = (self.after.sheet_of[column] == number) & (rows >= 0)
            ends[mine] = index[per_row[rows[mine]]]
        return list(names), ends

    @cached_property
    def slices(self) -> tuple[tuple[str, ...], Numbers]:
        """The strata: names, and (n,) an index of them."""
        return self.after.coded("stratum")

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """Lost items first, then gained ones, the largest changes first; then all others."""
        size = -np.abs(np.nan_to_num(self.change))
        return np.lexsort((np.arange(len(size)), size, self.direction))

    def counted(self) -> dict[str, int]:
        """How many items there are in each direction."""
        counts = np.bincount(self.direction, minlength=len(DIRECTIONS)).tolist()
        return dict(zip(DIRECTIONS, counts, strict=True))

    def ended(self) -> list[tuple[str, int]]:
        """How many of the candidate's shown samples ended how."""
        names, ends = self.outcomes
        return sorted(Counter(names[end] for end in ends.tolist()).items())

    def moved(self) -> dict[str, Moved]:
        """How many items of each slice moved."""
        return dict(slices_of(self.after, self.change))

    def chosen(self, within: str, how: str, direction: str) -> NDArray[np.bool_]:
        """(n,) which items belong to a slice, an outcome and a direction; "" is any."""
        keep = np.ones(len(self.change), dtype=np.bool_)
        if within:
            names, of = self.slices
            keep &= of == (names.index(within) if within in names else -1)
        if how:
            known, ends = self.outcomes
            keep &= ends == (known.index(how) if how in known else -1)
        if direction:
            keep &= self.direction == (
                DIRECTIONS.index(direction) if direction in DIRECTIONS else -1
            )
        return keep

    def flips(self, indices: Sequence[int]) -> list[Flip]:
        """Some items, by the samples that show their change best."""
        return [flip_at(self.before, self.after, self.change, index) for index in indices]
