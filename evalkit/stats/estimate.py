"""One cell's estimate: the mean difference with its interval and p-values, by the design at hand.

The interval is chosen by the data's shape alone, never by what it says: binary scores of one
sample per item, several samples or fractional scores, or clustered items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.distributions import FloatArray, critical_value, t_cdf, t_quantile
from evalkit.stats.intervals import change_sums, quasi_tango_limits, tango_ci
from evalkit.stats.pvalues import mcnemar_midp, paired_t, sign_flip

FEW_ITEMS = 50  # below this the t test alone is too bold
FEW_CLUSTERS = 30
DOMINANT_CLUSTER = 0.20


@dataclass(frozen=True, slots=True)
class Estimate:
    """Candidate − baseline on the oriented scale; every limit is a one-sided bound."""

    delta: float
    lower: float
    upper: float
    se: float  # (upper - lower) / 2z unless the method says otherwise: never 0
    p_regressed: float
    p_improved: float
    n: int  # independent units: items, or clusters where items come in clusters
    method: str  # tango | quasi_tango | cluster | stratified | bootstrap | unpaired | fixed | seeds
    flags: tuple[str, ...] = ()


def estimate(
    differences: ArrayLike,
    *,
    binary: bool,
    clusters: Sequence[str | int] | None = None,
    lattice: int | None = None,
    conf: float = 0.90,
) -> Estimate:
    """The cell's estimate from its item differences (candidate − baseline, paired).

    `binary` says that both arms have one 0/1 score per item; `lattice` that every difference is
    a multiple of 1/lattice.  Raises ValueError below two independent units.
    """
    d = np.asarray(differences, dtype=float)
    if d.size < 2:
        raise ValueError("an estimate needs at least two items")
    if clusters is not None:
        labels = _cluster_index(clusters, d.size)
        if labels.max() + 1 < d.size:
            return _clustered(d, labels, lattice, conf)
    return _binary(d, conf) if binary else _fractional(d, lattice, conf)


def cluster_se(differences: ArrayLike, clusters: Sequence[str | int]) -> float:
    """CR1 standard error of the mean: √(G/(G − 1))/n · √Σ_c(Σ_{i∈c}(dᵢ − d̄))².

    Liang & Zeger 1986, Biometrika 73:13; Miller 2024, arXiv:2411.00640.
    """
    d = np.asarray(differences, dtype=float)
    labels = _cluster_index(clusters, d.size)
    totals = np.bincount(labels, weights=d - d.mean())
    return float(np.sqrt(totals.size / (totals.size - 1) * np.square(totals).sum()) / d.size)


def _binary(d: FloatArray, conf: float) -> Estimate:
    gained, lost = int(np.count_nonzero(d > 0)), int(np.count_nonzero(d < 0))
    if not np.all(np.isin(d, (-1.0, 0.0, 1.0))):
        raise ValueError("binary scores differ by -1, 0 or 1")
    lower, upper = map(float, tango_ci(gained, lost, d.size, conf))
    return Estimate(
        delta=(gained - lost) / d.size,
        lower=lower,
        upper=upper,
        se=_se(lower, upper, conf),
        p_regressed=float(mcnemar_midp(gained, lost)),
        p_improved=float(mcnemar_midp(lost, gained)),
        n=d.size,
        method="tango",
    )


def _fractional(d: FloatArray, lattice: int | None, conf: float) -> Estimate:
    lower, upper = map(float, quasi_tango_limits(*change_sums(d), d.size, conf))
    p_regressed, p_improved = paired_t(d)[1], paired_t(-d)[1]
    if d.size < FEW_ITEMS and d.any():
        p_regressed = max(p_regressed, sign_flip(d, lattice))
        p_improved = max(p_improved, sign_flip(-d, lattice))
    return Estimate(
        delta=float(d.mean()),
        lower=lower,
        upper=upper,
        se=_se(lower, upper, conf),
        p_regressed=p_regressed,
        p_improved=p_improved,
        n=d.size,
        method="quasi_tango",
    )


def _clustered(
    d: FloatArray, labels: NDArray[np.intp], lattice: int | None, conf: float
) -> Estimate:
    sizes = np.bincount(labels)
    if sizes.size < 2:
        raise ValueError("an estimate needs at least two clusters")
    totals = np.bincount(labels, weights=d)
    few = sizes.size < FEW_CLUSTERS or sizes.max() > DOMINANT_CLUSTER * d.size
    equal = bool(np.all(sizes == sizes[0]))
    if equal or not cluster_se(d, labels.tolist()) > 0:  # an SE of 0 would claim certainty
        means_lattice = lattice * int(sizes[0]) if lattice and equal else None
        found = _fractional(totals / sizes, means_lattice, conf)
    else:
        found = _unequal(d, labels, conf)
    if few:
        found = replace(
            found,
            p_regressed=max(found.p_regressed, sign_flip(totals, lattice)),
            p_improved=max(found.p_improved, sign_flip(-totals, lattice)),
            flags=("few_clusters",),
        )
    return replace(found, method="cluster")


def _unequal(d: FloatArray, labels: NDArray[np.intp], conf: float) -> Estimate:
    delta, se, n = float(d.mean()), cluster_se(d, labels.tolist()), int(labels.max()) + 1
    reach = float(t_quantile((1 + conf) / 2, n - 1)) * se
    return Estimate(
        delta=delta,
        lower=delta - reach,
        upper=delta + reach,
        se=reach / critical_value(conf),
        p_regressed=float(t_cdf(delta / se, n - 1)),
        p_improved=float(t_cdf(-delta / se, n - 1)),
        n=n,
        method="cluster",
    )


def _cluster_index(clusters: Sequence[str | int], n: int) -> NDArray[np.intp]:
    labels = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if labels.size != n:
        raise ValueError("every item needs a cluster")
    return labels


def _se(lower: float, upper: float, conf: float) -> float:
    return (upper - lower) / (2 * critical_value(conf))
