"""The normal and t distributions, as array functions.

`scipy.special` is imported inside the functions: it costs more than everything else here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def normal_cdf(x: ArrayLike) -> FloatArray:
    """Φ(x), accurate in the lower tail."""
    from scipy import special

    return np.asarray(special.ndtr(np.asarray(x, dtype=float)))


def normal_quantile(p: ArrayLike) -> FloatArray:
    """Φ⁻¹(p)."""
    from scipy import special

    return np.asarray(special.ndtri(np.asarray(p, dtype=float)))


def t_cdf(x: ArrayLike, df: ArrayLike) -> FloatArray:
    """P(t ≤ x) of Student's t; the degrees of freedom may be fractional."""
    from scipy import special

    return np.asarray(special.stdtr(np.asarray(df, dtype=float), np.asarray(x, dtype=float)))


def t_quantile(p: ArrayLike, df: ArrayLike) -> FloatArray:
    """The p-quantile of Student's t."""
    from scipy import special

    return np.asarray(special.stdtrit(np.asarray(df, dtype=float), np.asarray(p, dtype=float)))


@cache
def critical_value(conf: float) -> float:
    """z of a two-sided interval: 1.645 for 90 %."""
    from statistics import NormalDist  # equal to the last digit or two, without scipy's start-up

    return NormalDist().inv_cdf((1 + conf) / 2)
