"""Estimates of items that belong together: a shared passage, the turns of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.cell import Clusters, Differences, Estimate
from evalkit.stats.distributions import FloatArray, critical_value, t_cdf, t_quantile
from evalkit.stats.independent import fractional
from evalkit.stats.intervals import change_sums, quasi_tango_limits
from evalkit.stats.pvalues import sign_flip

FEW_CLUSTERS = 30
DOMINANT_CLUSTER = 0.20
CANCELLED = 1e-15  # a standard error that is none but for rounding


@dataclass(frozen=True)
class Grouped:
    """A cell's item differences with the cluster of each, by number."""

    values: FloatArray
    labels: NDArray[np.intp]
    lattice: int | None

    @cached_property
    def sizes(self) -> NDArray[np.intp]:
        """Items of each cluster."""
        return np.bincount(self.labels)

    @cached_property
    def totals(self) -> FloatArray:
        """The sum of each cluster's differences."""
        return np.asarray(np.bincount(self.labels, weights=self.values))

    @cached_property
    def se(self) -> float:
        """CR1 standard error of the mean: √(G/(G − 1))/n · √Σ_c(Σ_{i∈c}(dᵢ − d̄))².

        Liang & Zeger 1986, Biometrika 73:13; Miller 2024, arXiv:2411.00640.
        """
        residuals = self.totals - self.sizes * self.values.mean()
        squares = self.sizes.size / (self.sizes.size - 1) * np.square(residuals).sum()
        return float(np.sqrt(squares) / self.values.size)

    @property
    def equal(self) -> bool:
        """Whether all clusters are of one size."""
        return bool(np.all(self.sizes == self.sizes[0]))

    @property
    def few(self) -> bool:
        """Whether few clusters, or one of them, carry it all."""
        dominant = self.sizes.max() > DOMINANT_CLUSTER * self.values.size
        return self.sizes.size < FEW_CLUSTERS or bool(dominant)


def cluster_se(differences: ArrayLike, clusters: Clusters) -> float:
    """CR1 standard error of the mean of clustered differences: see `Grouped.se`."""
    d = np.asarray(differences, dtype=float)
    return Grouped(d, cluster_index(clusters, d.size), None).se


def clustered(cells: Sequence[Grouped], conf: float) -> list[Estimate]:
    """(C): (B) on the means of equal clusters, else CR1 with t of G − 1 degrees of freedom.

    A Wald interval is too narrow where few clusters or few changes carry it, so that of unequal
    clusters is never narrower than (B) on their totals, each over the mean size of a cluster.
    """
    if any(cell.sizes.size < 2 for cell in cells):
        raise ValueError("an estimate needs at least two clusters")
    # an SE of 0 would claim certainty
    alike = [i for i, cell in enumerate(cells) if cell.equal or cell.se < CANCELLED]
    others = [i for i in range(len(cells)) if i not in {*alike}]
    found = dict(zip(alike, fractional([_means(cells[i]) for i in alike], conf), strict=True))
    found |= zip(others, _unequal([cells[i] for i in others], conf), strict=True)
    return [_by_signs(cell, found[i]) for i, cell in enumerate(cells)]


def _means(cell: Grouped) -> tuple[FloatArray, int | None]:
    lattice = cell.lattice * int(cell.sizes[0]) if cell.lattice and cell.equal else None
    return cell.totals / cell.sizes, lattice


def _unequal(cells: Sequence[Grouped], conf: float) -> list[Estimate]:
    if not cells:
        return []
    n = np.array([cell.sizes.size for cell in cells])
    delta = np.array([cell.values.mean() for cell in cells])
    se = np.array([cell.se for cell in cells])
    reach = t_quantile((1 + conf) / 2, n - 1) * se
    scaled = [cell.totals * count / cell.values.size for cell, count in zip(cells, n, strict=True)]
    gained, lost, phi = np.array([change_sums(totals) for totals in scaled]).T
    lowest, highest = quasi_tango_limits(gained, lost, phi, n, conf)
    lower, upper = np.minimum(delta - reach, lowest), np.maximum(delta + reach, highest)
    columns = {
        "delta": delta,
        "lower": lower,
        "upper": upper,
        "se": (upper - lower) / (2 * critical_value(conf)),
        "p_regressed": t_cdf(delta / se, n - 1),
        "p_improved": t_cdf(-delta / se, n - 1),
        "n": n,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [Estimate(**dict(zip(columns, row, strict=True)), method="cluster") for row in rows]


def _by_signs(cell: Grouped, found: Estimate) -> Estimate:
    """The estimate; of few clusters its p is no smaller than that of their totals' signs."""
    if not cell.few:
        return replace(found, method="cluster")
    return replace(
        found,
        p_regressed=max(found.p_regressed, sign_flip(cell.totals, cell.lattice)),
        p_improved=max(found.p_improved, sign_flip(-cell.totals, cell.lattice)),
        method="cluster",
        flags=("few_clusters",),
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
