"""Samples that were never answered: the estimate without them, and its bounds with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.distributions import FloatArray

MISSING_SHARE = 0.01  # more than this missing in either arm, and the cell is invalid


@dataclass(frozen=True, slots=True)
class MissingBounds:
    """Item differences as measured, and at the worst and best the missing samples allow."""

    differences: FloatArray  # of the items that both arms answered at least once
    worst: FloatArray  # every missing sample: candidate 0, baseline 1
    best: FloatArray  # every missing sample: candidate 1, baseline 0
    shares: tuple[float, float]  # missing of the samples due: baseline, candidate
    share: float  # of both arms together

    @property
    def too_many(self) -> bool:
        """Whether so much is missing that nothing may be said."""
        return max(self.shares) > MISSING_SHARE


def missing_bounds(baseline: ArrayLike, candidate: ArrayLike) -> MissingBounds:
    """Bounds from oriented scores, items × samples due, NaN where a sample is missing.

    The estimate uses an item's available samples; the bounds fill every missing one.
    """
    before, after = np.asarray(baseline, dtype=float), np.asarray(candidate, dtype=float)
    lost0, lost1 = np.isnan(before), np.isnan(after)
    answered = ~(lost0.all(axis=1) | lost1.all(axis=1))
    available = np.nanmean(after[answered], axis=1) - np.nanmean(before[answered], axis=1)
    return MissingBounds(
        differences=available,
        worst=_filled(after, 0.0) - _filled(before, 1.0),
        best=_filled(after, 1.0) - _filled(before, 0.0),
        shares=(float(lost0.mean()), float(lost1.mean())),
        share=float((lost0.sum() + lost1.sum()) / (lost0.size + lost1.size)),
    )


def _filled(samples: FloatArray, value: float) -> FloatArray:
    return np.asarray(np.where(np.isnan(samples), value, samples).mean(axis=1))
