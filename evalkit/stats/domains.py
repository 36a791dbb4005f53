"""A domain: the weighted mean of its cells, and the pooled decline behind a diffuse alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit.stats.cell import Estimate
from evalkit.stats.distributions import critical_value, normal_cdf
from evalkit.stats.families import domain_p


@dataclass(frozen=True, slots=True)
class Pooled:
    """The precision-weighted mean of a domain's cells."""

    delta: float
    se: float
    lower: float  # one-sided bound


def domain_mean(
    cells: Sequence[Estimate], weights: Sequence[float] | None = None, *, disjoint: bool = True
) -> Estimate:
    """The weighted mean (equal weights unless given) with square-and-add limits.

    L = δ − √Σw²(δⱼ − Lⱼ)² (Zou & Donner 2008, Statistics in Medicine 27:1693).  `p_regressed` is
    the domain's p of the regression family before Holm; one cell is its own domain.
    """
    if len(cells) == 1:
        return cells[0]
    mean = weighted_mean(cells, weights)
    p = domain_p([c.p_regressed for c in cells], [c.se for c in cells], disjoint=disjoint)
    return replace(mean, p_regressed=p, method="domain")


def weighted_mean(parts: Sequence[Estimate], weights: Sequence[float] | None = None) -> Estimate:
    """Independent parts with fixed weights: δ = Σwδⱼ, square-and-add limits, p = Φ(δ/SE)."""
    w = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=float)
    if w.size != len(parts) or np.any(w < 0) or not w.sum() > 0:
        raise ValueError("weights: one per part, none negative, not all zero")
    w = w / w.sum()
    delta, lower, upper, se = (
        np.array([getattr(part, name) for part in parts])
        for name in ("delta", "lower", "upper", "se")
    )
    mean, total_se = float(w @ delta), float(np.sqrt(np.square(w * se).sum()))
    return Estimate(
        delta=mean,
        lower=mean - float(np.sqrt(np.square(w * (delta - lower)).sum())),
        upper=mean + float(np.sqrt(np.square(w * (upper - delta)).sum())),
        se=total_se,
        p_regressed=float(normal_cdf(mean / total_se)),
        p_improved=float(normal_cdf(-mean / total_se)),
        n=sum(part.n for part in parts),
        method="stratified",
        flags=tuple(dict.fromkeys(flag for part in parts for flag in part.flags)),
    )


def pooled(cells: Sequence[Estimate], conf: float = 0.90) -> Pooled:
    """δ_pool = Σ(δⱼ/SEⱼ²)/Σ1/SEⱼ² and its lower bound: how large a diffuse decline may be."""
    precision = np.array([cell.se for cell in cells]) ** -2.0
    delta = float(precision @ np.array([cell.delta for cell in cells]) / precision.sum())
    se = float(precision.sum() ** -0.5)
    return Pooled(delta, se, delta - critical_value(conf) * se)
