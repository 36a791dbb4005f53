"""One cell's scores as arrays: what a comparison computes with, read from the store in one go.

A score that is no number is a missing sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.rows import Items, Numbers, Rows, coded, numbers
from evalkit.errors import StoreError
from evalkit.stats.scales import orient
from evalkit.store import Cell
from evalkit.tables import read_table

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]

COLUMNS = ("item", "epoch", "value", "outcome", "cluster")
TEXTS = ("outcome", "cluster")
MISSING = "errored"


@dataclass(frozen=True)
class Arm:
    """One cell's scores as arrays: n items × k samples each, oriented to [0, 1]."""

    items: Items  # (n,) sorted
    values: Floats  # (n, k); NaN is a missing sample
    ends: Numbers  # (n, k) what became of each sample, as an index of `classes`
    classes: tuple[str, ...]
    clusters: Numbers | None  # (n,) by number; None where every item stands alone
    native: tuple[float, float, bool]  # the task's bounds, and whether higher is better

    @property
    def epochs(self) -> int:
        """Samples due per item."""
        return int(self.values.shape[1])

    @cached_property
    def missing(self) -> float:
        """Share of the samples due that are missing."""
        return float(np.isnan(self.values).mean()) if self.values.size else 0.0

    @cached_property
    def means(self) -> Floats:
        """(n,) the mean of each item's samples; NaN where none is known."""
        return item_means(self.values)

    @cached_property
    def zero_one(self) -> bool:
        """Whether every score there is is 0 or 1."""
        return zero_one(self.values)

    @cached_property
    def within_bounds(self) -> bool:
        """Whether every score there is lies within the task's bounds."""
        outside = (self.values < -1e-9) | (self.values > 1 + 1e-9)
        return not bool(outside.any())

    @cached_property
    def score(self) -> float | None:
        """Mean over items of the mean over their samples."""
        known = self.means[~np.isnan(self.means)]
        return float(known.mean()) if len(known) else None

    @cached_property
    def outcomes(self) -> dict[str, int]:
        """How many samples ended in each outcome class."""
        return self.counted(self.ends)

    def counted(self, ends: Numbers) -> dict[str, int]:
        """How many of these ends, indices of `classes`, are of each class."""
        counts = np.bincount(ends.ravel(), minlength=len(self.classes)).tolist()
        named = zip(self.classes, counts, strict=True)
        return dict(sorted((name, count) for name, count in named if count))

    def take(self, index: NDArray[np.intp]) -> Arm:
        """The arm restricted to some of its items."""
        return Arm(
            self.items[index],
            self.values[index],
            self.ends[index],
            self.classes,
            None if self.clusters is None else self.clusters[index],
            self.native,
        )


def item_means(values: Floats) -> Floats:
    """(n,) the mean of each item's samples that are known; NaN where none is."""
    if values.shape[1] == 1:
        return values[:, 0]
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def zero_one(values: Floats) -> bool:
    """Whether every score there is is 0 or 1."""
    return bool(((values == 0) | (values == 1) | np.isnan(values)).all())


def load(cell: Cell, meta: Mapping[str, Any], preset: str) -> Arm:
    """A cell's scores; raises StoreError where they cannot be read."""
    path = cell.scores_path(preset)
    return of_table(read_table(path, [*COLUMNS], dictionaries=TEXTS), cell, meta, preset)


def of_table(table: pa.Table, cell: Cell, meta: Mapping[str, Any], preset: str) -> Arm:
    """A preset's scores, from its table with the `TEXTS` as dictionaries."""
    try:
        return _arm(table, _scale(cell, meta, preset))
    except ValueError as error:
        path = cell.scores_path(preset)
        raise StoreError(f"{path}: {error}; remove the file, and run again") from None


def _scale(cell: Cell, meta: Mapping[str, Any], preset: str) -> tuple[float, float, bool]:
    """The scale of a preset's grades; the task's own where the preset has none."""
    scale = meta.get("scales", {}).get(preset, meta)
    low, high = scale.get("bounds", (0.0, 1.0))
    higher = bool(scale.get("higher_is_better", True))
    try:
        orient([], (low, high), higher)
    except ValueError as error:
        reason = f"{cell.path / 'cell.json'}: {error}: no margin can be stated on such a scale"
        raise StoreError(reason) from None
    return low, high, higher


def _arm(table: pa.Table, native: tuple[float, float, bool]) -> Arm:
    rows = Rows.of(table)
    values = rows.laid(numbers(table, "value").astype(np.float64, copy=False), np.nan)
    classes, ends = coded(table, "outcome")
    names, codes = coded(table, "cluster")
    absent = classes.index(MISSING) if MISSING in classes else len(classes)
    return Arm(
        rows.items,
        _oriented(values, *native),
        rows.laid(ends, absent),
        classes if absent < len(classes) else (*classes, MISSING),
        _clusters(rows, names, codes),
        native,
    )


def _oriented(values: Floats, low: float, high: float, higher: bool) -> Floats:
    known = np.where(np.isfinite(values), values, np.nan)
    if (low, high, higher) == (0.0, 1.0, True):
        return known
    return orient(known, (low, high), higher)


def _clusters(rows: Rows, names: tuple[str, ...], codes: Numbers) -> Numbers | None:
    """Clusters by number; an item without a name for its cluster is one of its own."""
    if not any(names):
        return None
    own = names.index("") if "" in names else -1
    found = rows.per_item(codes)
    return np.where(found == own, len(names) + np.arange(len(found)), found)
