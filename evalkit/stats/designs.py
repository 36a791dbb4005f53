"""Estimates of the rarer designs: strata, refits, aggregates, a fixed exam, training seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.cell import Clusters, Estimate
from evalkit.stats.clusters import cluster_index
from evalkit.stats.distributions import critical_value, normal_cdf, t_cdf, t_quantile
from evalkit.stats.domains import weighted_mean
from evalkit.stats.intervals import quasi_tango_limits
from evalkit.stats.samples import sampling_variances

RESAMPLES = 1_000
SEED = 20_250_704  # fixed: the same data give the same report


def stratified(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """A benchmark's own weighted mean over fixed strata: δ = ΣW_hδ_h, square-and-add limits."""
    return weighted_mean(estimates, weights)


def unpaired(
    score0: float,
    score1: float,
    n0: int,
    n1: int,
    *,
    se0: float | None = None,
    se1: float | None = None,
    conf: float = 0.90,
) -> Estimate:
    """Two published scores without their items: z = δ/√(SE₀² + SE₁²), flagged `unpaired`.

    Where no SE is given the score is a proportion: SE² = p(1 − p)/(n − 1).
    """
    first = _proportion_se(score0, n0) if se0 is None else se0
    second = _proportion_se(score1, n1) if se1 is None else se1
    se = float(np.hypot(first, second))
    return _normal(score1 - score0, se, min(n0, n1), "unpaired", conf, ("unpaired",))


def fixed_exam(
    baseline: ArrayLike,
    candidate: ArrayLike,
    conf: float = 0.90,
    *,
    clusters: Clusters | None = None,
) -> Estimate:
    """The difference on exactly these items: only the sampling of answers is uncertain.

    Arrays of items × samples, NaN where an answer is missing; SE² is the mean's within-item
    sampling variance, Σ(s²/k)/n² of both arms.  Needs two samples per item in each arm; an item
    left with one takes the mean variance of its arm.  Of clustered items, whose j-th samples may
    be of one conversation, it is the variance of the clusters' totals.
    """
    arms = [np.asarray(arm, dtype=float) for arm in (baseline, candidate)]
    n = len(arms[0])
    labels = None if clusters is None else cluster_index(clusters, n)
    variance = float(sampling_variances(arms[0], arms[1], labels).sum())
    delta = float(np.mean(np.nanmean(arms[1], axis=1) - np.nanmean(arms[0], axis=1)))
    return _normal(delta, float(np.sqrt(variance)) / n, n, "fixed", conf)


def seed_variance(deltas: ArrayLike, se_items: float, n_items: int) -> tuple[float, float]:
    """SE and Satterthwaite's degrees of freedom of a mean over training seeds.

    SE² = s_b²/s + SE_items² (all seeds sit the same items);
    df = SE⁴/[(s_b²/s)²/(s − 1) + SE_items⁴/(n − 1)].
    """
    d = np.asarray(deltas, dtype=float)
    between = float(d.var(ddof=1)) / d.size
    items = se_items**2
    df = (between + items) ** 2 / (between**2 / (d.size - 1) + items**2 / (n_items - 1))
    return float(np.sqrt(between + items)), df


def seeds(deltas: ArrayLike, se_items: float, n_items: int, conf: float = 0.90) -> Estimate:
    """The mean over training seeds of one recipe: t interval with Satterthwaite's df."""
    d = np.asarray(deltas, dtype=float)
    se, df = seed_variance(d, se_items, n_items)
    delta, reach = float(d.mean()), float(t_quantile((1 + conf) / 2, df)) * se
    return Estimate(
        delta=delta,
        lower=delta - reach,
        upper=delta + reach,
        se=reach / critical_value(conf),
        p_regressed=float(t_cdf(delta / se, df)),
        p_improved=float(t_cdf(-delta / se, df)),
        n=n_items,
        method="seeds",
        flags=("seeds",),
        seeds=tuple(d.tolist()),
        se_items=se_items,
        df=df,
    )


def seeds_mean(parts: Sequence[Estimate], weights: Sequence[float], conf: float = 0.90) -> Estimate:
    """A domain over training seeds: each seed's own weighted mean, then `seeds`.

    A seed moves all cells of a domain together, so the spread between seeds is that of the
    domain's means; only the items of different cells are independent.
    """
    w = np.asarray(weights, dtype=float) / np.sum(weights)
    deltas = w @ np.array([part.seeds for part in parts])
    items = float(np.sqrt(np.square(w * [part.se_items for part in parts]).sum()))
    return seeds(deltas, items, sum(part.n for part in parts), conf)


def bootstrap(
    refit: Callable[[NDArray[np.intp]], float],
    n: int,
    *,
    resamples: int = RESAMPLES,
    conf: float = 0.90,
    seed: int = SEED,
) -> Estimate:
    """A metric that is fitted (LC win rate, Bradley–Terry): percentile interval over prompts.

    `refit(prompts)` gives the difference on those of the n prompts, all games of a prompt
    together (Efron & Tibshirani 1993).  p = Φ(δ/SE): a counted p could not go below 1/1000.
    """
    random = np.random.default_rng(seed)
    delta = refit(np.arange(n))
    replicates = np.array([refit(random.integers(0, n, n)) for _ in range(resamples)])
    se = float(replicates.std(ddof=1))
    lower, upper = np.quantile(replicates, [(1 - conf) / 2, (1 + conf) / 2])
    if not upper > lower:  # no replicate differs: as wide as a cell in which nothing changed
        half = float(quasi_tango_limits(0.0, 0.0, 1.0, n, conf)[1])
        lower, upper, se = delta - half, delta + half, half / critical_value(conf)
    return Estimate(
        delta=delta,
        lower=float(lower),
        upper=float(upper),
        se=float(upper - lower) / (2 * critical_value(conf)),
        p_regressed=float(normal_cdf(delta / se)),
        p_improved=float(normal_cdf(-delta / se)),
        n=n,
        method="bootstrap",
    )


def _normal(
    delta: float, se: float, n: int, method: str, conf: float, flags: tuple[str, ...] = ()
) -> Estimate:
    reach = critical_value(conf) * se
    return Estimate(
        delta=delta,
        lower=delta - reach,
        upper=delta + reach,
        se=se,
        p_regressed=float(normal_cdf(delta / se)),
        p_improved=float(normal_cdf(-delta / se)),
        n=n,
        method=method,
        flags=flags,
    )


def _proportion_se(share: float, n: int) -> float:
    if share in (0.0, 1.0):  # none or all of n: shrink, or the SE would be 0
        share = (share * n + 0.5) / (n + 1)
    return float(np.sqrt(share * (1 - share) / (n - 1)))
