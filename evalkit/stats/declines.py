"""Which checkpoint of a series is the first that is confirmed to be worse than the best before it.

The best so far is the luckiest so far: a plain test against it would call 16 to 18 of 100 series
in which nothing changed a decline.  Each test is therefore calibrated on what the luckiest of so
many checkpoints would look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.cell import Clusters, Differences, Numbers
from evalkit.stats.distributions import FloatArray
from evalkit.stats.estimate import estimates
from evalkit.stats.families import holm
from evalkit.stats.linear import linear
from evalkit.stats.trend import SEED

DRAWS_EACH = 100  # per checkpoint: Holm over T of them can still reach 1/100
FEWEST_DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Decline:
    """One checkpoint against the best before it."""

    index: int
    best: int  # the checkpoint with the highest score before it
    delta: float  # its score − the best's
    upper: float  # 95 % one-sided bound of that difference by itself
    p: float  # that it is no worse, Holm over the series


def declines(
    items: ArrayLike,
    *,
    binary: bool,
    clusters: Clusters | None = None,
    lattice: int | None = None,
    strata: Numbers | None = None,
    weights: Sequence[float] = (),
    seed: int = SEED,
) -> list[Decline]:
    """Every checkpoint but the first against the best before it, rows being checkpoints.

    p_t = (1 + #{min over s < t of z*_st ≤ z_t})/(B + 1) with z* drawn from the normal law of all
    differences that the items' covariance gives (Chernozhukov, Chetverikov & Kato 2013), and no
    smaller than the p of the two checkpoints by themselves; then Holm over t.
    """
    y = np.asarray(items, dtype=float)
    if y.ndim != 2 or y.shape[0] < 2 or y.shape[1] < 2:
        raise ValueError("a decline needs two checkpoints and two items")
    moved = linear(y, clusters, strata, weights)
    scores = moved.mean(axis=1)
    best = [int(np.argmax(scores[:t])) for t in range(1, len(y))]
    alone = estimates(
        [
            Differences(y[t] - y[s], binary, clusters, lattice, strata, weights)
            for t, s in enumerate(best, 1)
        ]
    )
    selected = _selected_p(moved, best, seed)
    p = holm([max(each.p_regressed, q) for each, q in zip(alone, selected, strict=True)])
    return [
        Decline(t, s, alone[t - 1].delta, alone[t - 1].upper, float(p[t - 1]))
        for t, s in enumerate(best, 1)
    ]


def first_decline(found: Sequence[Decline], alpha: float = 0.05) -> Decline | None:
    """The first confirmed one."""
    return next((each for each in found if each.p <= alpha), None)


def _selected_p(y: FloatArray, best: Sequence[int], seed: int) -> list[float]:
    covariance = np.cov(y) / y.shape[1]
    variance = np.diag(covariance)
    se = np.sqrt(np.maximum(variance[:, None] + variance[None, :] - 2 * covariance, 0.0))
    se = np.where(se > 1e-12, se, np.inf)  # the same answers throughout: z is 0
    values, vectors = np.linalg.eigh(covariance)
    draws = max(FEWEST_DRAWS, DRAWS_EACH * len(y))
    normal = np.random.default_rng(seed).standard_normal((draws, len(y)))
    scores = y.mean(axis=1)
    drawn = (normal * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    found = []
    for t, s in enumerate(best, 1):
        lowest = ((drawn[:, t, None] - drawn[:, :t]) / se[t, :t]).min(axis=1)
        lower = np.count_nonzero(lowest <= (scores[t] - scores[s]) / se[t, s])
        found.append((1 + int(lower)) / (draws + 1))
    return found
