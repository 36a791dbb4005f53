"""Multiplicity: what many p-values together may claim.

The sizes of a family are fixed by the configuration, before the data: a cell that could not be
measured stays in its family with p = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.distributions import FloatArray, normal_cdf, normal_quantile

SMALLEST_P = 1e-15  # beyond this Φ⁻¹ has no digits left


@dataclass(frozen=True, slots=True)
class RegressionFamily:
    """The p-values of "something declined", per domain and per cell of each domain."""

    p_domain: list[float]
    p_domain_adjusted: list[float]
    p_cell_adjusted: list[list[float]]


def holm(p: ArrayLike) -> FloatArray:
    """Step-down adjusted p-values (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(values.size, 0, -1)
    return _restored(np.minimum(np.maximum.accumulate(steps), 1.0), order)


def benjamini_hochberg(p: ArrayLike) -> FloatArray:
    """Step-up adjusted p-values for the false discovery rate (1995, JRSS-B 57:289).

    For exploratory slices only: no verdict uses it.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = values[order] * values.size / np.arange(1, values.size + 1)
    return _restored(np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0), order)


def domain_p(
    p: Sequence[float],
    se: Sequence[float],
    *,
    disjoint: bool = True,
    pooled: float | None = None,
) -> float:
    """p that some cell of a domain declined: min(1, 2·min(p_pool, p_min)); its own p if J = 1.

    p_pool is Stouffer's with weights 1/SE (strong where all cells decline a little); p_min is
    Šidák's 1 − (1 − min p)^J (strong where one does), or J·min p if cells share items.
    `pooled` replaces p_pool where cells are not independent (training seeds).
    """
    if len(p) == 1:
        return float(p[0])
    p_pool = _stouffer(p, se) if pooled is None else pooled
    smallest = min(p)
    if disjoint:
        p_min = float(-np.expm1(len(p) * np.log1p(-smallest))) if smallest < 1 else 1.0
    else:
        p_min = len(p) * smallest
    return min(1.0, 2 * min(p_pool, p_min))


def regression_family(
    p: Sequence[Sequence[float]],
    se: Sequence[Sequence[float]],
    *,
    disjoint: Sequence[bool] | None = None,
    pooled: Sequence[float | None] | None = None,
    candidates: int = 1,
) -> RegressionFamily:
    """Adjusted p-values of all domains and cells, from `p[domain][cell]`.

    Holm over the domains; a cell's is the larger of its domain's and Holm within the domain, so
    P(a domain in which nothing declined is flagged) ≤ α, however many others did.  A cell that
    could not be measured enters with p = 1 and an infinite SE.  Of several `candidates` in one
    family each has its share of α: every domain's p counts so many times.
    """
    if [len(row) for row in p] != [len(row) for row in se] or not all(p):
        raise ValueError("every domain needs a p and an SE for each of its cells")
    apart = disjoint or [True] * len(p)
    together = pooled or [None] * len(p)
    domains = [
        domain_p(*row, disjoint=own, pooled=whole)
        for *row, own, whole in zip(p, se, apart, together, strict=True)
    ]
    adjusted = np.minimum(candidates * holm(domains), 1.0).tolist()
    cells = [
        np.maximum(holm(row), domain).tolist() for row, domain in zip(p, adjusted, strict=True)
    ]
    return RegressionFamily(domains, adjusted, cells)


def _stouffer(p: Sequence[float], se: Sequence[float]) -> float:
    weight = 1 / np.asarray(se, dtype=float)
    z = normal_quantile(np.clip(p, SMALLEST_P, 1 - SMALLEST_P))
    total = float(np.sqrt(np.square(weight).sum()))
    return float(normal_cdf(float(weight @ z) / total)) if total > 0 else 1.0


def _restored(sorted_values: FloatArray, order: NDArray[np.intp]) -> FloatArray:
    result = np.empty_like(sorted_values)
    result[order] = sorted_values
    return result
