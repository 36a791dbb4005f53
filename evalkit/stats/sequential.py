"""Stopping early without spending more error: planned looks, boundaries and the estimate at a look.

One-sided Lan–DeMets boundaries with O'Brien–Fleming spending, on the information scale.  For the
default estimand only (the items are a sample); the order of the items is fixed before the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.distributions import FloatArray, normal_cdf, normal_quantile
from evalkit.stats.power import n_required

NODES = 400
REACH = 8.5  # standard deviations that the integration covers below, and above an open boundary
DISCORDANCE_PRIOR = 0.20
PRIOR_WEIGHT = 3.0  # items' worth of the prior flip rate in every stratum's variance
SMALLEST_VARIANCE = 1e-6
SMALL_BENCHMARK = 600

Spending = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Strata:
    """What is known at a look of each stratum: its items, those seen, Σd and Σd² over these."""

    size: FloatArray
    seen: FloatArray
    total: FloatArray
    squares: FloatArray


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


def obrien_fleming(t: float, alpha: float) -> float:
    """α(t) = 2 − 2Φ(z_{α/2}/√t), by the lower tail since the upper one underflows at small t."""
    return float(2 * normal_cdf(normal_quantile(alpha / 2) / np.sqrt(t)))


class Boundary:
    """One-sided z boundaries, look by look (Lan & DeMets 1983, Biometrika 70:659).

    Found by the recursion of Armitage, McPherson & Rowe (1969, JRSS-A 132:235) on the
    sub-density of S_k = Z_k√t_k.  A look without new information has an infinite boundary.
    """

    def __init__(self, alpha: float, spending: Spending = obrien_fleming) -> None:
        self.alpha = alpha
        self.spending = spending
        self._spent, self._time = 0.0, 0.0
        # where the walk may be, and with which probability
        self._at, self._mass = np.zeros(1), np.ones(1)

    def at(self, t: float) -> float:
        """The boundary of the next look, which comes at information time t."""
        step = float(np.sqrt(max(t - self._time, 0.0)))
        increment = self.spending(t, self.alpha) - self._spent
        bound = float("inf")
        if step > 0.0 and increment > 0.0:
            bound = _crossing(self._at, self._mass, step, increment) / float(np.sqrt(t))
            self._spent += increment
        if step > 0.0:
            top = min(bound, REACH + 1) * float(np.sqrt(t))
            self._at, self._mass = _advance(self._at, self._mass, step, top, t)
            self._time = t
        return bound


def boundaries(
    information: Sequence[float], alpha: float, spending: Spending = obrien_fleming
) -> list[float]:
    """The boundaries at information times that are all known."""
    boundary = Boundary(alpha, spending)
    return [boundary.at(t) for t in information]


def look_count(items: int) -> int:
    """Ten equal looks, five at a small benchmark."""
    return 5 if items < SMALL_BENCHMARK else 10


def item_cap(items: int, margin: float, variance: float = DISCORDANCE_PRIOR) -> int:
    """Items after which nothing is gained: min(N, (2z_α)²σ²/m²), σ² from the last transition."""
    return min(items, n_required(variance, margin, power=0.95)) if margin > 0 else items


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
    """
    weight, items = strata.size / strata.size.sum(), float(strata.size.sum())
    mean = strata.total / strata.seen
    second = (strata.squares + PRIOR_WEIGHT * flip_prior) / (strata.seen + PRIOR_WEIGHT)
    spread = np.maximum(second - np.square(mean), SMALLEST_VARIANCE)
    delta = float(weight @ mean)
    population = float(weight @ spread + weight @ np.square(mean - delta)) / items

    def variance(seen: FloatArray) -> float:
        sampling = np.square(weight) * spread * (1 - seen / strata.size) / seen
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

    columns = (strata.size, strata.seen, strata.total, strata.squares)
    return Strata(*(joined(column) for column in columns))


def strata_of(size: ArrayLike, seen: ArrayLike, total: ArrayLike, squares: ArrayLike) -> Strata:
    """`Strata` from plain lists."""
    return Strata(*(np.asarray(column, dtype=float) for column in (size, seen, total, squares)))


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


def _crossing(at: FloatArray, mass: FloatArray, step: float, increment: float) -> float:
    """The level that a walk from `at` exceeds after `step` with probability `increment`."""
    low, high = -50.0, 50.0
    for _ in range(100):
        level = (low + high) / 2
        above = float(mass @ normal_cdf((at - level) / step))
        low, high = (level, high) if above > increment else (low, level)
    return (low + high) / 2


def _advance(
    at: FloatArray, mass: FloatArray, step: float, top: float, t: float
) -> tuple[FloatArray, FloatArray]:
    """Where the walk may be after `step` if it stayed below `top`, on Gauss–Legendre nodes."""
    bottom = -REACH * np.sqrt(t)
    nodes, weights = _legendre()
    place = bottom + (nodes + 1) * (top - bottom) / 2
    jump = (place[:, None] - at[None, :]) / step
    density = np.exp(-np.square(jump) / 2) / (step * np.sqrt(2 * np.pi)) @ mass
    return place, density * weights * (top - bottom) / 2


@cache
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return np.asarray(nodes), np.asarray(weights)
