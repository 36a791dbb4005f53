"""Estimates of items that belong together: a shared passage, the turns of a conversation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.cell import Clusters, Differences, Estimate
from evalkit.stats.distributions import FloatArray, critical_value, t_cdf, t_quantile
from evalkit.stats.independent import fractional
from evalkit.stats.intervals import change_sums, quasi_tango_limits
from evalkit.stats.pvalues import sign_flip

FEW_CLUSTERS = 30
DOMINANT_CLUSTER = 0.20


def cluster_se(differences: ArrayLike, clusters: Clusters) -> float:
    """CR1 standard error of the mean: √(G/(G − 1))/n · √Σ_c(Σ_{i∈c}(dᵢ − d̄))².

    Liang & Zeger 1986, Biometrika 73:13; Miller 2024, arXiv:2411.00640.
    """
    d = np.asarray(differences, dtype=float)
    labels = cluster_index(clusters, d.size)
    totals = np.bincount(labels, weights=d - d.mean())
    return float(np.sqrt(totals.size / (totals.size - 1) * np.square(totals).sum()) / d.size)


def clustered(
    d: FloatArray, labels: NDArray[np.intp], lattice: int | None, conf: float
) -> Estimate:
    """(C): (B) on the means of equal clusters, else CR1 with t of G − 1 degrees of freedom.

    A Wald interval is too narrow where few clusters or few changes carry it, so that of unequal
    clusters is never narrower than (B) on their totals, each over the mean size of a cluster.
    """
    sizes = np.bincount(labels)
    if sizes.size < 2:
        raise ValueError("an estimate needs at least two clusters")
    totals = np.bincount(labels, weights=d)
    few = sizes.size < FEW_CLUSTERS or sizes.max() > DOMINANT_CLUSTER * d.size
    equal = bool(np.all(sizes == sizes[0]))
    if equal or not cluster_se(d, labels) > 0:  # an SE of 0 would claim certainty
        means_lattice = lattice * int(sizes[0]) if lattice and equal else None
        found = fractional([(totals / sizes, means_lattice)], conf)[0]
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
    delta, se, n = float(d.mean()), cluster_se(d, labels), int(labels.max()) + 1
    reach = float(t_quantile((1 + conf) / 2, n - 1)) * se
    totals = np.bincount(labels, weights=d) * n / d.size
    lowest, highest = map(float, quasi_tango_limits(*change_sums(totals), n, conf))
    lower, upper = min(delta - reach, lowest), max(delta + reach, highest)
    return Estimate(
        delta=delta,
        lower=lower,
        upper=upper,
        se=(upper - lower) / (2 * critical_value(conf)),
        p_regressed=float(t_cdf(delta / se, n - 1)),
        p_improved=float(t_cdf(-delta / se, n - 1)),
        n=n,
        method="cluster",
    )


def shared_clusters(cell: Differences) -> NDArray[np.intp] | None:
    """Each item's cluster by number; None where every item is a cluster of its own."""
    if cell.clusters is None:
        return None
    labels = cluster_index(cell.clusters, cell.values.size)
    return labels if labels.max() + 1 < labels.size else None


def cluster_index(clusters: Clusters, n: int) -> NDArray[np.intp]:
    """Each item's cluster by number; ValueError where one has none."""
    labels = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if labels.size != n:
        raise ValueError("every item needs a cluster")
    return labels
