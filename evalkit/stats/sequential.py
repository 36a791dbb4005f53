"""Stopping early: the order of the items, and the estimate at a look.

The order of the items is fixed before the run; what a look is held against is in `boundaries`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.distributions import FloatArray

DISCORDANCE_PRIOR = 0.20
PRIOR_WEIGHT = 3.0  # items' worth of the prior flip rate in every stratum's variance
SMALLEST_VARIANCE = 1e-6
SMALL_BENCHMARK = 600


@dataclass(frozen=True, slots=True)
class Strata:
    """What is known at a look of each stratum: its units, those seen, Σd and Σd² over these.

    `within` is Σ of the sampling variances of those seen, where the items are fixed.
    """

    size: FloatArray
    seen: FloatArray
    total: FloatArray
    squares: FloatArray
    within: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The post-stratified estimate at a look."""

    delta: float
    variance: float
    final_variance: float  # as it would be at the cap, with what is known now

    @property
    def information(self) -> float:
        """The share of the planned information that is in."""
        return self.final_variance / self.variance

    def statistic(self, hypothesis: float) -> float:
        """T(D) = (δ − D)/√Var."""
        return float((self.delta - hypothesis) / np.sqrt(self.variance))


def look_count(items: int) -> int:
    """Ten equal looks, five at a small benchmark."""
    return 5 if items < SMALL_BENCHMARK else 10


def item_order(strata: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    """Items by SHA-256 of seed and id within each stratum, the strata interleaved in proportion."""
    places: list[tuple[float, str, str]] = []
    for items in strata.values():
        hashed = sorted((hashlib.sha256(f"{seed}\0{i}".encode()).hexdigest(), i) for i in items)
        places += [((rank + 0.5) / len(items), *each) for rank, each in enumerate(hashed)]
    return [item for _, _, item in sorted(places)]


def post_stratified(strata: Strata, n_max: int, flip_prior: float = DISCORDANCE_PRIOR) -> Look:
    """δ = ΣW_h d̄_h over strata of known size, with its variance now and at the cap of n_max items.

    S_h² = max(q_h − d̄_h², 10⁻⁶), q_h = (Σd² + 3f)/(n_h + 3);
    Var = ΣW_h²S_h²(1 − n_h/N_h)/n_h + [ΣW_hS_h² + ΣW_h(d̄_h − δ)²]/N (Cochran 1977, ch. 5).
    Of fixed items the bracket is left out, and what sampling adds takes its place: with w_h the
    mean sampling variance, Var = ΣW_h²[S_h²(1 − n_h/N_h) + w_h n_h/N_h]/n_h (ibid., ch. 10).
    """
    weight, items = strata.size / strata.size.sum(), float(strata.size.sum())
    mean = strata.total / strata.seen
    second = (strata.squares + PRIOR_WEIGHT * flip_prior) / (strata.seen + PRIOR_WEIGHT)
    spread = np.maximum(second - np.square(mean), SMALLEST_VARIANCE)
    delta = float(weight @ mean)
    population, within = 0.0, np.zeros_like(spread)
    if strata.within is None:
        population = float(weight @ spread + weight @ np.square(mean - delta)) / items
    else:
        within = np.maximum(strata.within / strata.seen, SMALLEST_VARIANCE)

    def variance(seen: FloatArray) -> float:
        share = seen / strata.size
        sampling = np.square(weight) * (spread * (1 - share) + within * share) / seen
        return float(sampling.sum()) + population

    return Look(delta, variance(strata.seen), variance(strata.size * min(1.0, n_max / items)))


def merged(strata: Strata, fewest: int = 2) -> Strata:
    """Strata seen fewer than `fewest` times joined to their neighbour in the given order."""
    groups: list[list[int]] = []
    for index, seen in enumerate(strata.seen):
        starved = groups and strata.seen[groups[-1]].sum() < fewest
        if groups and (starved or (seen < fewest and index == len(strata.seen) - 1)):
            groups[-1].append(index)
        else:
            groups.append([index])

    def joined(values: FloatArray) -> FloatArray:
        return np.array([values[group].sum() for group in groups])

    return Strata(
        joined(strata.size),
        joined(strata.seen),
        joined(strata.total),
        joined(strata.squares),
        None if strata.within is None else joined(strata.within),
    )


def strata_of(
    size: ArrayLike,
    seen: ArrayLike,
    total: ArrayLike,
    squares: ArrayLike,
    within: FloatArray | None = None,
) -> Strata:
    """`Strata` from plain lists."""
    sizes, seens, totals, sums = (
        np.asarray(column, dtype=float) for column in (size, seen, total, squares)
    )
    return Strata(sizes, seens, totals, sums, within)


def decide_look(
    look: Look, margin: float, pass_bound: float, fail_bound: float, *, last: bool
) -> Literal["no_regression", "regressed", "continue"]:
    """Pass if T(−m) reaches its boundary; regressed if −T(0) does and, before the end, δ ≤ −m.

    Without the guard on δ an early look would call half a margin's decline a regression.
    """
    if margin > 0 and look.statistic(-margin) >= pass_bound:
        return "no_regression"
    if -look.statistic(0.0) >= fail_bound and (last or look.delta <= -margin):
        return "regressed"
    return "continue"
