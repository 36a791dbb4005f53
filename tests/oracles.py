"""Independent routes to the same numbers: scipy.stats, statsmodels and brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def mcnemar_exact(gained: int, lost: int) -> dict[str, float]:
    from scipy import stats

    if gained + lost == 0:
        return {"p_two_sided_exact": 1.0, "p_less_exact": 1.0}
    n = gained + lost
    return {
        "p_two_sided_exact": float(stats.binomtest(gained, n).pvalue),
        "p_less_exact": float(stats.binomtest(gained, n, alternative="less").pvalue),
    }


def mcnemar_midp(gained: int, lost: int) -> float:
    """From the binomial coefficients, in whole numbers."""
    n = gained + lost
    below = sum(math.comb(n, x) for x in range(gained))
    return float((2 * below + math.comb(n, gained)) / 2 ** (n + 1))


def mcnemar_chi2(gained: int, lost: int) -> dict[str, float]:
    from statsmodels.stats.contingency_tables import mcnemar

    found = mcnemar([[0, gained], [lost, 0]], exact=False, correction=True)
    return {"stat": float(found.statistic), "p": float(found.pvalue)}


def clopper_pearson(x: int, n: int, conf: float) -> dict[str, float]:
    from statsmodels.stats.proportion import proportion_confint

    lower, upper = proportion_confint(x, n, alpha=1 - conf, method="beta")
    return {"lower": float(lower), "upper": float(upper)}


def tost(diffs: Sequence[float], margin: float) -> dict[str, float]:
    from statsmodels.stats.weightstats import DescrStatsW

    both, low, high = DescrStatsW(np.asarray(diffs)).ttost_mean(-margin, margin)
    return {
        "p_tost": float(both),
        "p_noninferior": float(low[1]),
        "p_nonsuperior": float(high[1]),
    }


def cluster_se(diffs: Sequence[float], cluster: Sequence[int], corrected: bool) -> float:
    import statsmodels.api as sm

    fit = sm.OLS(np.asarray(diffs), np.ones(len(diffs))).fit(
        cov_type="cluster",
        cov_kwds={"groups": np.asarray(cluster), "use_correction": corrected},
    )
    return float(fit.bse[0])


def sign_flip(diffs: Sequence[float]) -> float:
    """All 2ⁿ signs, one by one."""
    sizes, observed = np.abs(diffs), float(np.sum(diffs))
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(sizes))))
    return float(np.mean(signs @ sizes <= observed + 1e-9))


def combined(p: Sequence[float], method: str, weights: Sequence[float] | None) -> Any:
    from scipy import stats

    return stats.combine_pvalues(p, method=method, weights=weights)


def multiple_tests(p: Sequence[float], method: str) -> list[float]:
    from statsmodels.stats.multitest import multipletests

    return [float(x) for x in multipletests(p, method=method)[1]]


def probability_worse(gained: int, lost: int, prior: float) -> float:
    from scipy import stats

    return float(stats.beta.cdf(0.5, gained + prior, lost + prior))


def miller_n(variance: float, mde: float, alpha: float, power: float) -> float:
    from scipy import stats

    return float((stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)) ** 2 * variance / mde**2)


def length_controlled(preference: Sequence[float], length: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope of a binomial GLM with a fractional response."""
    import statsmodels.api as sm

    design = sm.add_constant(np.asarray(length))
    fit = sm.GLM(np.asarray(preference), design, family=sm.families.Binomial()).fit()
    return float(fit.params[0]), float(fit.params[1])


def wealth(diffs: Sequence[float], null: float, lam: float) -> float:
    return math.prod(1 + lam * (null - d) for d in diffs)


def known_se_change(scores: Sequence[float], se: Sequence[float]) -> dict[str, float]:
    """The likelihood-ratio change point of independent points with one known SE."""
    y, total = np.asarray(scores), len(scores)
    found: list[tuple[float, int, float]] = []
    for k in range(1, total):
        delta = float(y[k:].mean() - y[:k].mean())
        found.append((delta**2 / (se[0] ** 2 * (1 / k + 1 / (total - k))), k, delta))
    lr_stat, index, delta = max(found)
    return {"index": index, "delta": delta, "lr_stat": lr_stat}


def pocock_spending(t: float, alpha: float) -> float:
    """Lan–DeMets spending that resembles Pocock's boundaries."""
    return alpha * math.log(1 + (math.e - 1) * t)


def choose(n: int, k: int) -> int:
    return math.comb(n, k)
