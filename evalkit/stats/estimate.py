"""One cell's estimate: the mean difference with its interval and p-values, by the design at hand.

The interval is chosen by the data's shape alone, never by what it says: binary scores of one
sample per item, several samples or fractional scores, or clustered items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.distributions import FloatArray, critical_value, t_cdf, t_quantile
from evalkit.stats.intervals import change_sums, quasi_tango_limits, tango_ci
from evalkit.stats.pvalues import mcnemar_midp, paired_t, sign_flip

FEW_ITEMS = 50  # below this the t test alone is too bold
FEW_CLUSTERS = 30
DOMINANT_CLUSTER = 0.20

Clusters: TypeAlias = Sequence[str | int] | NDArray[np.integer[Any]]
"""Which cluster each item belongs to, by name or by number."""


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
    seeds: tuple[float, ...] = ()  # the delta of each training seed, where several were averaged
    se_items: float = 0.0  # beside the spread between seeds
    df: float | None = None  # Satterthwaite's, of an estimate over seeds


@dataclass(frozen=True, slots=True)
class Differences:
    """A cell's item differences (candidate − baseline, paired), and what shape they have."""

    values: FloatArray
    binary: bool  # both arms have one 0/1 score per item
    clusters: Clusters | None = None
    lattice: int | None = None  # every difference is a multiple of 1/lattice


def estimate(
    differences: ArrayLike,
    *,
    binary: bool,
    clusters: Clusters | None = None,
    lattice: int | None = None,
    conf: float = 0.90,
) -> Estimate:
    """The estimate of one cell from its `Differences`; ValueError below two independent units."""
    values = np.asarray(differences, dtype=float)
    return estimates([Differences(values, binary, clusters, lattice)], conf)[0]


def estimates(cells: Sequence[Differences], conf: float = 0.90) -> list[Estimate]:
    """The estimates of many cells; those without clusters share the work on their intervals."""
    found: dict[int, Estimate] = {}
    binary, fractional = list[int](), list[int]()
    for i, cell in enumerate(cells):
        if cell.values.size < 2:
            raise ValueError("an estimate needs at least two items")
        labels = _shared_clusters(cell)
        if labels is not None:
            found[i] = _clustered(cell.values, labels, cell.lattice, conf)
        else:
            (binary if cell.binary else fractional).append(i)
    found |= zip(binary, _binary([cells[i].values for i in binary], conf), strict=True)
    plain = [(cells[i].values, cells[i].lattice) for i in fractional]
    found |= zip(fractional, _fractional(plain, conf), strict=True)
    return [found[i] for i in range(len(cells))]


def cluster_se(differences: ArrayLike, clusters: Clusters) -> float:
    """CR1 standard error of the mean: √(G/(G − 1))/n · √Σ_c(Σ_{i∈c}(dᵢ − d̄))².

    Liang & Zeger 1986, Biometrika 73:13; Miller 2024, arXiv:2411.00640.
    """
    d = np.asarray(differences, dtype=float)
    labels = _cluster_index(clusters, d.size)
    totals = np.bincount(labels, weights=d - d.mean())
    return float(np.sqrt(totals.size / (totals.size - 1) * np.square(totals).sum()) / d.size)


def _binary(cells: Sequence[FloatArray], conf: float) -> list[Estimate]:
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


def _fractional(cells: Sequence[tuple[FloatArray, int | None]], conf: float) -> list[Estimate]:
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


def _clustered(
    d: FloatArray, labels: NDArray[np.intp], lattice: int | None, conf: float
) -> Estimate:
    sizes = np.bincount(labels)
    if sizes.size < 2:
        raise ValueError("an estimate needs at least two clusters")
    totals = np.bincount(labels, weights=d)
    few = sizes.size < FEW_CLUSTERS or sizes.max() > DOMINANT_CLUSTER * d.size
    equal = bool(np.all(sizes == sizes[0]))
    if equal or not cluster_se(d, labels) > 0:  # an SE of 0 would claim certainty
        means_lattice = lattice * int(sizes[0]) if lattice and equal else None
        found = _fractional([(totals / sizes, means_lattice)], conf)[0]
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


def _shared_clusters(cell: Differences) -> NDArray[np.intp] | None:
    """Each item's cluster by number; None where every item is a cluster of its own."""
    if cell.clusters is None:
        return None
    labels = _cluster_index(cell.clusters, cell.values.size)
    return labels if labels.max() + 1 < labels.size else None


def _cluster_index(clusters: Clusters, n: int) -> NDArray[np.intp]:
    labels = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if labels.size != n:
        raise ValueError("every item needs a cluster")
    return labels


def _se(lower: ArrayLike, upper: ArrayLike, conf: float) -> FloatArray:
    return np.subtract(upper, lower) / (2 * critical_value(conf))
