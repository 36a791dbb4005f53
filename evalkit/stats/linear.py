"""Item scores of which the plain mean and its plain standard error are right.

Where items come in clusters or weighted strata, the scores are moved about their mean so that
sd/√n is the standard error that the design has; one matrix then serves every contrast of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats.cell import Clusters, Numbers
from evalkit.stats.clusters import cluster_index
from evalkit.stats.distributions import FloatArray


def linear(
    items: ArrayLike,
    clusters: Clusters | None = None,
    strata: Numbers | None = None,
    weights: Sequence[float] = (),
) -> FloatArray:
    """The matrix (checkpoints × items) for its clusters and weighted strata, if it has any."""
    y = np.asarray(items, dtype=float)
    if strata is not None:
        y = by_stratum(y, strata, weights)
    return y if clusters is None else by_cluster(y, clusters)


def by_cluster(items: ArrayLike, clusters: Clusters) -> FloatArray:
    """The item matrix with one column a cluster, for which the same formulas are right.

    Y'_tc = Ȳ_t + (G/n) Σ_{i∈c}(Y_ti − Ȳ_t): the means stay, and sd/√G of any contrast becomes its
    CR1 standard error (Liang & Zeger 1986, Biometrika 73:13).
    """
    y = np.asarray(items, dtype=float)
    label = cluster_index(clusters, y.shape[1])
    groups = int(label.max()) + 1
    mean = y.mean(axis=1, keepdims=True)
    sums = np.zeros((groups, len(y)))
    np.add.at(sums, label, (y - mean).T)
    return np.asarray(mean + sums.T * (groups / y.shape[1]))


def by_stratum(items: ArrayLike, strata: Numbers, weights: Sequence[float]) -> FloatArray:
    """The item matrix whose rows' means are those over strata, Σ W_h Ȳ_th.

    Y'_ti = Ȳ_t + c_h(Y_ti − Ȳ_th) with c_h = (nW_h/n_h)√(n_h(n − 1)/((n_h − 1)n)): sd/√n of any
    contrast becomes √ΣW_h²s_h²/n_h (Cochran 1977, ch. 5).  A stratum of weight 0 has no part.
    """
    y = np.asarray(items, dtype=float)
    n, share = y.shape[1], np.asarray(weights, dtype=float) / np.sum(weights)
    moved = np.zeros_like(y)
    centre = np.zeros(len(y))
    for number, weight in enumerate(share):
        there = strata == number
        count = np.count_nonzero(there)
        if weight > 0:
            mean = y[:, there].mean(axis=1)
            centre += weight * mean
            scale = n * weight / count * np.sqrt(count * (n - 1) / (max(count - 1, 1) * n))
            moved[:, there] = scale * (y[:, there] - mean[:, None])
    return np.asarray(centre[:, None] + moved)
