"""One cell's scores as arrays: what a comparison computes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.rows import Items, Numbers

Floats = NDArray[np.float64]

MISSING = "errored"
CUT_OFF = ("truncated", "unclosed_think")


@dataclass(frozen=True)
class Arm:
    """One cell's scores as arrays: n items × k samples each, oriented to [0, 1]."""

    items: Items  # (n,) sorted
    values: Floats  # (n, k); NaN is a missing sample
    ends: Numbers  # (n, k) what became of each sample, as an index of `classes`
    classes: tuple[str, ...]
    clusters: Numbers | None  # (n,) by number; None where every item stands alone
    native: tuple[float, float, bool]  # the task's bounds, and whether higher is better
    strata: Numbers | None = None  # (n,) by number, where the task weighs its strata
    weights: Mapping[str, float] = field(default_factory=dict)  # of each stratum, in that order

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
        """Mean over items of the mean over their samples, or the weighted mean over strata."""
        return self.headline(self.means)

    def headline(self, means: Floats, among: NDArray[np.bool_] | None = None) -> float | None:
        """The mean of these scores, one an item, as the task weighs them.

        `among` tells which items count, all that have a score without it.  None where there are
        none, or none of a stratum that counts.
        """
        known = ~np.isnan(means) if among is None else among
        if self.strata is None:
            counted = means if known.all() else means[known]
            return float(counted.mean()) if counted.size else None
        size = len(self.weights)
        count = np.bincount(self.strata[known], minlength=size)
        total = np.bincount(self.strata[known], means[known], size)
        weight = np.array([*self.weights.values()])
        counts = weight > 0
        if not count[counts].all():
            return None
        return float((weight[counts] * total[counts] / count[counts]).sum() / weight.sum())

    @cached_property
    def outcomes(self) -> dict[str, int]:
        """How many samples ended in each outcome class."""
        return self.counted(self.ends)

    def counted(self, ends: Numbers) -> dict[str, int]:
        """How many of these ends, indices of `classes`, are of each class."""
        counts = np.bincount(ends.ravel(), minlength=len(self.classes)).tolist()
        named = zip(self.classes, counts, strict=True)
        return dict(sorted((name, count) for name, count in named if count))

    @cached_property
    def cut_off(self) -> NDArray[np.bool_]:
        """(n, k) which samples were cut off before they ended."""
        return self._ended(CUT_OFF)

    @cached_property
    def completed(self) -> Floats:
        """(n,) the mean of each item's samples neither cut off nor missing; NaN where none is."""
        incomplete = (*CUT_OFF, MISSING)
        if not {*incomplete} & {*self.outcomes}:
            return self.means
        return item_means(np.where(self._ended(incomplete), np.nan, self.values))

    def _ended(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        return np.array([name in names for name in self.classes], dtype=np.bool_)[self.ends]

    def take(self, index: NDArray[np.intp]) -> Arm:
        """The arm restricted to some of its items."""
        return replace(
            self,
            items=self.items[index],
            values=self.values[index],
            ends=self.ends[index],
            clusters=None if self.clusters is None else self.clusters[index],
            strata=None if self.strata is None else self.strata[index],
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
