"""How far a statistic must go at each look so that all looks together spend no more than α.

One-sided Lan–DeMets boundaries with O'Brien–Fleming spending, on the information scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.distributions import FloatArray, normal_cdf, normal_quantile

NODES = 400
REACH = 8.5  # standard deviations that the integration covers below, and above an open boundary

Spending = Callable[[float, float], float]


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
