"""Confidence intervals for a difference of paired scores, and for one score.

Every limit is the inversion of a score statistic: an interval never has zero width, not even
where no item changed.  All functions take whole arrays of cells.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.distributions import FloatArray, critical_value, t_quantile

BISECTIONS = 60
VARIANCE_FLOOR = 1e-12  # per item: keeps the statistic finite where the variance is rounded to 0
QUASI_BRACKET = 0.999


def tango_statistic(
    gained: ArrayLike, lost: ArrayLike, n: ArrayLike, delta: ArrayLike, *, bessel: bool = True
) -> FloatArray:
    """Tango's score statistic T(D), decreasing in D, of the hypothesis that the difference is D.

    T(D) = (g − l − nD)/√V with V = n(2q + D(1 − D)) and q the constrained estimate of P(lost)
    (Tango 1998, Statistics in Medicine 17:891); `bessel` multiplies V by n/(n − 1) (Laud's
    correction).  T(0) without it is McNemar's z.
    """
    up, down, m, d = map(_floats, (gained, lost, n, delta))
    return _statistic(up, down, m, d, 1.0, bessel)


def tango_ci(
    gained: ArrayLike,
    lost: ArrayLike,
    n: ArrayLike,
    conf: float = 0.90,
    bessel: bool = True,
) -> tuple[FloatArray, FloatArray]:
    """Score interval for the difference of two paired proportions: T(L) = z, T(U) = −z.

    Tango 1998 with the N/(N − 1) factor; ± z²/(n + z²) (plain) where nothing changed.
    """
    up, down, m = np.broadcast_arrays(*map(_floats, (gained, lost, n)))
    _check_items(m)
    return _invert(
        lambda delta: _statistic(up, down, m, delta, 1.0, bessel),
        (up - down) / m,
        critical_value(conf),
        1.0,
    )


def quasi_tango_ci(differences: ArrayLike, conf: float = 0.90) -> tuple[FloatArray, FloatArray]:
    """Quasi-score interval for the mean of item differences in [−1, 1] (k samples, judge scores).

    The counts become sums (G = Σd⁺, Lo = Σd⁻) and the variance is scaled by φ = Σd²/Σ|d|; the
    critical value is that of t with n − 1 degrees of freedom.  At k = 1 φ is 1 and T is Tango's.
    """
    d = _floats(differences)
    return quasi_tango_limits(*change_sums(d), d.size, conf)


def change_sums(differences: FloatArray) -> tuple[float, float, float]:
    """Σd⁺, Σd⁻ and φ = Σd²/Σ|d| (1 where nothing changed) of one cell's item differences."""
    gained = float(np.maximum(differences, 0.0).sum())
    lost = float(np.maximum(-differences, 0.0).sum())
    total = gained + lost
    return gained, lost, float(np.square(differences).sum()) / total if total > 0 else 1.0


def quasi_tango_limits(
    gained: ArrayLike, lost: ArrayLike, phi: ArrayLike, n: ArrayLike, conf: float = 0.90
) -> tuple[FloatArray, FloatArray]:
    """Limits of `quasi_tango_ci` from the sums of many cells at once."""
    up, down, scale, m = np.broadcast_arrays(*map(_floats, (gained, lost, phi, n)))
    _check_items(m)
    return _invert(
        lambda delta: _statistic(up, down, m, delta, scale, True),
        (up - down) / m,
        t_quantile((1 + conf) / 2, m - 1),
        QUASI_BRACKET,
    )


def wilson_ci(
    successes: ArrayLike, n: ArrayLike, conf: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval for one proportion (Wilson 1927, JASA 22:209)."""
    x, m = np.broadcast_arrays(_floats(successes), _floats(n))
    z2 = critical_value(conf) ** 2
    centre = (x + z2 / 2) / (m + z2)
    half = np.sqrt(z2 * (x * (m - x) / m + z2 / 4)) / (m + z2)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def score_ci(score: float, items: FloatArray, conf: float = 0.90) -> tuple[float, float]:
    """The interval of one mean score in [0, 1]: Wilson's, for as many items as it is worth.

    `items` are `linear.linear`'s, one or more a unit: s/√n is the score's standard error, and
    p(1 − p)/SE² the 0/1 items that would have that one (Korn & Graubard 1998, Survey Methodology
    24:193).  Of 0/1 scores these are the items themselves, but for n/(n − 1).
    """
    n = len(items)
    variance = float(items.var()) / n
    share = min(max(score, 0.0), 1.0)
    worth = share * (1 - share) / variance if variance > 1e-15 else 0.0
    worth = worth or float(n)  # nothing varies: as good as n items that agree
    low, high = wilson_ci(share * worth, worth, conf)
    return float(low), float(high)


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _check_items(n: FloatArray) -> None:
    if np.any(n < 2):
        raise ValueError("an interval needs at least two items")


def _statistic(
    gained: FloatArray,
    lost: FloatArray,
    n: FloatArray,
    delta: FloatArray,
    phi: FloatArray | float,
    bessel: bool,
) -> FloatArray:
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    root = np.sqrt(np.maximum(b * b - 8 * n * c, 0.0))
    # The textbook (root - b)/4n cancels where b > 0; there the other form of the root is used.
    positive = b > 0
    q = np.where(positive, -2 * c / np.where(positive, b + root, 1.0), (root - b) / (4 * n))
    variance = n * (phi * (2 * q + delta) - delta * delta)
    if bessel:
        variance = variance * n / (n - 1)
    numerator: FloatArray = gained - lost - n * delta
    return np.asarray(numerator / np.sqrt(np.maximum(variance, VARIANCE_FLOOR * n)))


def _invert(
    statistic: Callable[[FloatArray], FloatArray],
    estimate: FloatArray,
    critical: FloatArray | float,
    reach: float,
) -> tuple[FloatArray, FloatArray]:
    """The two values where a decreasing statistic equals ± critical, both by one bisection."""
    low = np.stack([np.where(estimate < -reach, -1.0, -reach), estimate])
    high = np.stack([estimate, np.where(estimate > reach, 1.0, reach)])
    level = np.stack([np.broadcast_to(side, estimate.shape) for side in (critical, -critical)])
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = statistic(middle) > level
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    lower, upper = (low + high) / 2
    return lower, upper
