"""When a decline began, over a series of checkpoints that all sat the same items.

The items' noise is shared by the checkpoints, so every statistic is a contrast per item.  A
change point annotates a figure; it decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.distributions import FloatArray

RESAMPLES = 1_000
SEED = 20_250_704  # fixed: the same data give the same report


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The likeliest beginning of a decline."""

    index: int  # checkpoints before the change
    delta: float  # mean after − mean before
    z: tuple[float, ...]  # of every possible change, the first after one checkpoint
    p: float  # that so low a z comes up somewhere, had nothing changed


def change_point(items: ArrayLike, *, resamples: int = RESAMPLES, seed: int = SEED) -> ChangePoint:
    """The split with the lowest z of mean(after) − mean(before), rows being checkpoints.

    z_κ = P̄_κ/(s_κ/√n) over the items' own contrasts P_κi; p = (1 + #{min z* ≤ min z})/(B + 1)
    by the multiplier bootstrap (Chernozhukov, Chetverikov & Kato 2013, Annals of Statistics 41).
    """
    y = np.asarray(items, dtype=float)
    if y.ndim != 2 or y.shape[0] < 2 or y.shape[1] < 2:
        raise ValueError("a change point needs two checkpoints and two items")
    contrasts = _contrasts(y)
    n = y.shape[1]
    mean = contrasts.mean(axis=1)
    se = np.maximum(contrasts.std(axis=1, ddof=1) / np.sqrt(n), 1e-12)
    z = mean / se
    at = int(np.argmin(z))
    influence = (contrasts - mean[:, None]) / (n * se[:, None])
    lower = _minima(influence, resamples, seed) <= z[at]
    p = (1 + int(np.count_nonzero(lower))) / (resamples + 1)
    return ChangePoint(at + 1, float(mean[at]), tuple(z.tolist()), p)


def change_points(items: ArrayLike, alpha: float = 0.05, *, seed: int = SEED) -> list[ChangePoint]:
    """All changes by binary segmentation, each side searched at half its parent's α.

    Vostrikova 1981, Soviet Mathematics Doklady 24:55.  Segmentation can split between two equal
    steps, so each split must still stand between its final neighbours.  Indices count from the
    first checkpoint.
    """
    y = np.asarray(items, dtype=float)
    splits = _segment(y, 0, alpha, seed)
    while splits:
        edges = [0, *splits, len(y)]
        found = [
            _shifted(change_point(y[before:after], seed=seed), before)
            for before, after in zip(edges[:-2], edges[2:], strict=True)
        ]
        weakest = int(np.argmax([each.p for each in found]))
        if found[weakest].p <= alpha:
            return sorted({each.index: each for each in found}.values(), key=lambda c: c.index)
        del splits[weakest]
    return []


def _segment(y: FloatArray, start: int, alpha: float, seed: int) -> list[int]:
    if len(y) < 2:
        return []
    found = change_point(y, seed=seed)
    if found.p > alpha:
        return []
    at = found.index
    before = _segment(y[:at], start, alpha / 2, seed)
    return [*before, start + at, *_segment(y[at:], start + at, alpha / 2, seed)]


def _shifted(found: ChangePoint, start: int) -> ChangePoint:
    return replace(found, index=found.index + start)


def _contrasts(y: FloatArray) -> FloatArray:
    """Per item, mean after − mean before, for a change after each checkpoint but the last."""
    sums = np.cumsum(y, axis=0)
    before = np.arange(1, len(y))[:, None]
    return np.asarray((sums[-1] - sums[:-1]) / (len(y) - before) - sums[:-1] / before)


def _minima(influence: FloatArray, resamples: int, seed: int) -> FloatArray:
    """(resamples,) the lowest z* of each: Σ g_i ψ_κi with g ~ N(0, 1) is N(0, ψψ') over κ."""
    values, vectors = np.linalg.eigh(influence @ influence.T)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    drawn = np.random.default_rng(seed).standard_normal((resamples, len(values)))
    return np.asarray((drawn @ root).min(axis=1))
