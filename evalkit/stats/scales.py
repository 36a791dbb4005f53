"""Native scores to the oriented scale: [0, 1], higher is better."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.distributions import FloatArray


def orient(
    scores: ArrayLike, bounds: tuple[float, float], higher_is_better: bool = True
) -> FloatArray:
    """(x − lo)/(hi − lo), or (hi − x)/(hi − lo) where lower is better.

    Only a metric with finite bounds has such a scale; without one it cannot gate.
    """
    low, high = bounds
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"a scale needs two finite bounds, the lower one first; not {bounds}")
    x = np.asarray(scores, dtype=float)
    return np.asarray((x - low if higher_is_better else high - x) / (high - low))
