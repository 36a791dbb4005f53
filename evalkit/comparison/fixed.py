"""The difference on exactly these items: only the sampling of answers is uncertain.

Right for the question "is it worse on this very exam", wrong for the one that gates usually ask,
which is about all the items that these are a sample of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Arm
from evalkit.comparison.comparability import exam_of
from evalkit.comparison.paired import Pair, Variant, clusters_of, samples
from evalkit.comparison.sides import Sides, cells_of, one_of
from evalkit.stats.cell import Estimate
from evalkit.stats.designs import fixed_exam
from evalkit.stats.domains import weighted_mean

FLAG = "fixed_items"


def refused(pair: Pair, sides: Sides, *, fitted: bool) -> str:
    """Why these two cells cannot be compared so; empty where they can."""
    baseline, candidate = sides.baseline, sides.candidate
    if fitted:
        return "`items: fixed` is for means over items, and its headline is fitted: drop it"
    if any(len(cells_of(one_of(side))) > 1 for side in (baseline, candidate)):
        return "`items: fixed` is for single checkpoints; seeds are judged over items: drop it"
    if min(pair.baseline.epochs, pair.candidate.epochs) < 2:
        return (
            f"`items: fixed` takes two answers per item or more on both sides, and there are "
            f"{pair.baseline.epochs} and {pair.candidate.epochs}: raise `epochs`, or drop it"
        )
    drawn = [exam_of(cell.meta).get("sampling", {}) for cell in cells_of(baseline)]
    if not all(sampling.get("temperature") for sampling in drawn):
        return (
            "`items: fixed` takes answers drawn at a temperature above 0, and these are as many "
            "copies of one: raise it, or drop `items: fixed`"
        )
    return ""


def estimate(pair: Pair, variant: Variant, conf: float) -> Estimate:
    """The estimate of a cell, or the weighted mean of its strata's."""
    before, after, taking = samples(pair, variant)
    clusters = clusters_of(pair.baseline, pair.candidate)
    weights, parts = [], []
    for weight, items in _strata(pair.baseline):
        chosen = np.flatnonzero(items & taking)
        own = None if clusters is None else clusters[chosen]
        weights.append(weight)
        parts.append(fixed_exam(before[chosen], after[chosen], conf, clusters=own))
    return parts[0] if len(parts) == 1 else weighted_mean(parts, weights)


def _strata(arm: Arm) -> list[tuple[float, NDArray[np.bool_]]]:
    if arm.strata is None:
        return [(1.0, np.ones(len(arm.items), dtype=np.bool_))]
    found = enumerate(arm.weights.values())
    return [(weight, arm.strata == number) for number, weight in found if weight > 0]
