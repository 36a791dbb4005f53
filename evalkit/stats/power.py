"""Planning: what a cell can show before it is run, from its standard error or its variance."""

from __future__ import annotations

import math
from functools import cache

from evalkit.stats.distributions import normal_cdf, normal_quantile


def mde(sd: float, n: int, alpha: float = 0.05, power: float = 0.80) -> float:
    """Smallest true difference that a lone one-sided test detects: (z_α + z_β)·σ/√n."""
    return (_z(1 - alpha) + _z(power)) * sd / math.sqrt(n)


def first_step_alpha(cells_in_domain: int, n_domains: int, alpha: float = 0.05) -> float:
    """The p below which a lone declining cell is called regressed: Holm's first step.

    α/D for a domain of one cell, else 1 − (1 − α/2D)^(1/J).
    """
    if cells_in_domain == 1:
        return alpha / n_domains
    return -math.expm1(math.log1p(-alpha / (2 * n_domains)) / cells_in_domain)


def mde_regressed(
    se: float,
    margin: float,
    *,
    cells_in_domain: int = 1,
    n_domains: int = 1,
    alpha: float = 0.05,
    power: float = 0.80,
) -> float:
    """Smallest decline of one cell that is called regressed with the given power.

    max(z_f·SE, m − z·SE) + z_β·SE: the alarm must sound, and the pass must fail.
    """
    z_first = -_z(first_step_alpha(cells_in_domain, n_domains, alpha))
    return max(z_first * se, margin - _z(1 - alpha) * se) + _z(power) * se


def n_required(variance: float, margin: float, alpha: float = 0.05, power: float = 0.80) -> int:
    """Items for which an unchanged model passes with the given power: (z_α + z_β)²σ²/m².

    σ² is the variance of an item's difference: about the share of discordant items at k = 1.
    """
    return math.ceil((_z(1 - alpha) + _z(power)) ** 2 * variance / margin**2)


def variance_for(margin: float, alpha: float = 0.05, power: float = 0.95) -> float:
    """The variance of δ̂ with which an unchanged model passes with that power: (m/(z_α + z_β))²."""
    return (margin / (_z(1 - alpha) + _z(power))) ** 2


def probability_of_pass(margin: float, se: float, alpha: float = 0.05) -> float:
    """P(pass | nothing changed) = Φ(m/SE − z_α)."""
    return float(normal_cdf(margin / se - _z(1 - alpha)))


def suggested_margin(
    se: float, alpha: float = 0.05, power: float = 0.97, step: float = 0.005
) -> float:
    """The margin that an unchanged model passes 97 times in 100, rounded up to half a point."""
    return math.ceil((_z(1 - alpha) + _z(power)) * se / step - 1e-9) * step


@cache  # the same few levels, asked for once a cell
def _z(p: float) -> float:
    return float(normal_quantile(p))
