"""Estimates of items that stand alone: Tango's for 0/1 scores, quasi-Tango for all others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.cell import Estimate
from evalkit.stats.distributions import FloatArray, critical_value
from evalkit.stats.intervals import change_sums, quasi_tango_limits, tango_ci
from evalkit.stats.pvalues import mcnemar_midp, paired_t, sign_flip

FEW_ITEMS = 50  # below this the t test alone is too bold


def binary(cells: Sequence[FloatArray], conf: float) -> list[Estimate]:
    """(A): Tango's score interval and mid-p McNemar, of one 0/1 score per item and arm."""
    if not cells:
        return []
    n = np.array([d.size for d in cells])
    gained = np.array([np.count_nonzero(d == 1) for d in cells])
    lost = np.array([np.count_nonzero(d == -1) for d in cells])
    if any(np.count_nonzero(d) != moved for d, moved in zip(cells, gained + lost, strict=True)):
        raise ValueError("binary scores differ by -1, 0 or 1")
    lower, upper = tango_ci(gained, lost, n, conf)
    columns = {
        "delta": (gained - lost) / n,
        "lower": lower,
        "upper": upper,
        "se": _se(lower, upper, conf),
        "p_regressed": mcnemar_midp(gained, lost),
        "p_improved": mcnemar_midp(lost, gained),
        "n": n,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [Estimate(**dict(zip(columns, row, strict=True)), method="tango") for row in rows]


def fractional(cells: Sequence[tuple[FloatArray, int | None]], conf: float) -> list[Estimate]:
    """(B): quasi-Tango and the paired t test, of differences with their lattice, if any."""
    if not cells:
        return []
    gained, lost, phi = np.array([change_sums(d) for d, _ in cells]).T
    n = np.array([d.size for d, _ in cells])
    lower, upper = quasi_tango_limits(gained, lost, phi, n, conf)
    limits = zip(lower.tolist(), upper.tolist(), strict=True)
    return [
        Estimate(
            delta=float(d.mean()),
            lower=low,
            upper=high,
            se=float(_se(low, high, conf)),
            p_regressed=_p_declined(d, lattice),
            p_improved=_p_declined(-d, lattice),
            n=d.size,
            method="quasi_tango",
        )
        for (d, lattice), (low, high) in zip(cells, limits, strict=True)
    ]


def _p_declined(d: FloatArray, lattice: int | None) -> float:
    p = paired_t(d)[1]
    return max(p, sign_flip(d, lattice)) if d.size < FEW_ITEMS and d.any() else p


def _se(lower: ArrayLike, upper: ArrayLike, conf: float) -> FloatArray:
    return np.subtract(upper, lower) / (2 * critical_value(conf))
