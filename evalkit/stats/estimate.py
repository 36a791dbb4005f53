"""One cell's estimate: the mean difference with its interval and p-values, by the design at hand.

The interval is chosen by the data's shape alone, never by what it says: binary scores of one
sample per item, several samples or fractional scores, clustered items, strata with weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.cell import Clusters, Differences, Estimate
from evalkit.stats.clusters import Grouped, clustered, shared_clusters
from evalkit.stats.domains import weighted_mean
from evalkit.stats.independent import binary as of_binary
from evalkit.stats.independent import fractional as of_fractional


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
    """The estimates of many cells; those without clusters share the work on their intervals.

    (D) A stratum is estimated as a cell of its own; the weighted mean of a cell's is its estimate.
    """
    parts = [strata(cell) for cell in cells]
    found = iter(_alone([part for row in parts for _, part in row], conf))
    return [_together([(weight, next(found)) for weight, _ in row]) for row in parts]


def strata(cell: Differences) -> list[tuple[float, Differences]]:
    """The strata of a cell that count, each with its weight; the cell itself where it has none."""
    if cell.strata is None:
        return [(1.0, cell)]
    return [
        (weight, _part(cell, np.flatnonzero(cell.strata == number)))
        for number, weight in enumerate(cell.weights)
        if weight > 0
    ]


def _part(cell: Differences, index: NDArray[np.intp]) -> Differences:
    clusters = None if cell.clusters is None else np.asarray(cell.clusters)[index]
    return Differences(cell.values[index], cell.binary, clusters, cell.lattice)


def _together(parts: Sequence[tuple[float, Estimate]]) -> Estimate:
    if len(parts) == 1:
        return parts[0][1]
    return weighted_mean([each for _, each in parts], [weight for weight, _ in parts])


def _alone(cells: Sequence[Differences], conf: float) -> list[Estimate]:
    groups: dict[int, Grouped] = {}
    binary, fractional = list[int](), list[int]()
    for i, cell in enumerate(cells):
        if cell.values.size < 2:
            raise ValueError("an estimate needs at least two items")
        labels = shared_clusters(cell)
        if labels is not None:
            groups[i] = Grouped(cell.values, labels, cell.lattice)
        else:
            (binary if cell.binary else fractional).append(i)
    found = dict(zip(groups, clustered([*groups.values()], conf), strict=True))
    found |= zip(binary, of_binary([cells[i].values for i in binary], conf), strict=True)
    plain = [(cells[i].values, cells[i].lattice) for i in fractional]
    found |= zip(fractional, of_fractional(plain, conf), strict=True)
    return [found[i] for i in range(len(cells))]
