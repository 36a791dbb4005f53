"""Strata of a benchmark's items for post-stratification: known before the candidate is asked.

Items whose scores are alike to begin with change alike, so that a mean over strata of known size
wanders less than a mean over whatever items happened to come first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.distributions import FloatArray

FEWEST = 30
EARLIER = 3
"""Fewer earlier checkpoints than these say little of how hard an item is."""

Labels = NDArray[np.intp]


def stratified(baseline: FloatArray, history: FloatArray, fewest: int = FEWEST) -> Labels:
    """The stratum of each item: (quartile of its history) × (is the baseline right?).

    `baseline` holds a score per item, `history` a row per earlier checkpoint; with fewer than
    three of these the baseline alone decides.  Strata of fewer than `fewest` items are merged.
    """
    right = (np.nan_to_num(baseline) >= 0.5).astype(np.intp)
    quartile = np.zeros(len(baseline), dtype=np.intp)
    if len(history) >= EARLIER:
        mean = _mean(history)
        quartile = np.searchsorted(np.quantile(mean, (0.25, 0.5, 0.75)), mean, side="left")
    return merged_to(4 * right + quartile, fewest)


def merged_to(labels: Labels, fewest: int) -> Labels:
    """The strata numbered from 0, each smaller than `fewest` joined to the smaller neighbour.

    A neighbour on the baseline's own side (right, or wrong) comes first.
    """
    groups = [[int(label)] for label in np.unique(labels)]
    size = {int(label): int((labels == label).sum()) for label in np.unique(labels)}

    def items(group: list[int]) -> int:
        return sum(size[label] for label in group)

    while len(groups) > 1:
        small = min(range(len(groups)), key=lambda i: items(groups[i]))
        if items(groups[small]) >= fewest:
            break
        beside = [i for i in (small - 1, small + 1) if 0 <= i < len(groups)]
        side = groups[small][0] // 4
        near = min(beside, key=lambda i: (groups[i][0] // 4 != side, items(groups[i])))
        low, high = sorted((small, near))
        groups[low] += groups.pop(high)
    number = {label: place for place, group in enumerate(groups) for label in group}
    return np.array([number[int(label)] for label in labels], dtype=np.intp)


def _mean(history: FloatArray) -> FloatArray:
    """Mean over earlier checkpoints; an item that none of them has counts as middling."""
    known = ~np.isnan(history)
    total = np.where(known, history, 0.0).sum(axis=0)
    mean = total / np.maximum(known.sum(axis=0), 1)
    unknown = ~known.any(axis=0)
    return np.asarray(np.where(unknown, np.median(mean), mean))
