"""The estimate of every task of a comparison, by its own design.

Means over items of all cells are estimated together; a headline that is fitted, and one that is
about these very items, each by themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from evalkit.comparison import fitted, fixed
from evalkit.comparison.measured import Measured, paired_up
from evalkit.comparison.paired import Variant
from evalkit.comparison.sides import Sides, cells_of, one_of
from evalkit.series.recipe import Recipe, over_seeds
from evalkit.stats.cell import Estimate
from evalkit.stats.estimate import estimates


def measure(
    sides: Sequence[Sides], conf: float = 0.90, exactly: Collection[str] = ()
) -> list[Measured]:
    """Pairs the cells of every task and estimates their differences, or says why it cannot.

    Of the tasks named in `exactly` the items are fixed: only the sampling of answers counts.
    """
    found = [paired_up(each) for each in sides]
    found = [
        _designed(one, each, conf, fixed_items=one.task in exactly)
        for one, each in zip(found, sides, strict=True)
    ]
    due = [
        (i, variant, change)
        for i, one in enumerate(found)
        if not one.estimates and not one.invalid
        for variant, change in one.changes.items()
    ]
    known: list[dict[Variant, Estimate | None]] = [{} for _ in found]
    for (i, variant, _), items in zip(due, estimates([d for *_, d in due], conf), strict=True):
        known[i][variant] = _spread(sides[i], found[i], variant, items, conf)
    return [
        replace(one, estimates={**one.estimates, **each})
        for one, each in zip(found, known, strict=True)
    ]


def _designed(one: Measured, sides: Sides, conf: float, *, fixed_items: bool) -> Measured:
    """A task with its estimates, if its design is another than the mean over sampled items."""
    if one.invalid or one.pair is None or sides.baseline is None or sides.candidate is None:
        return one
    wants = fitted.wanted(sides.baseline.meta)
    if fixed_items:
        reason = fixed.refused(one.pair, sides, fitted=wants)
        if reason:
            return replace(one, invalid=reason)
        own = {variant: fixed.estimate(one.pair, variant, conf) for variant in one.changes}
        return replace(one, estimates=own, flags=(*one.flags, fixed.FLAG))
    if not wants:
        return one
    refit = fitted.refit_of(sides.baseline.meta)
    if refit is None:
        return replace(one, flags=(*one.flags, fitted.ABSENT))
    try:
        own = {
            variant: fitted.estimate(one.pair, refit, sides, variant, conf)
            for variant in one.changes
        }
    except fitted.RefitFailed as error:
        return replace(one, invalid=str(error))
    return replace(one, estimates=own, flags=(*one.flags, fitted.FLAG))


def _spread(
    sides: Sides, one: Measured, variant: Variant, items: Estimate, conf: float
) -> Estimate:
    """The estimate with the spread between training seeds, where the candidate has several."""
    candidate = one_of(sides.candidate)
    if one.pair is None or not isinstance(candidate, Recipe):
        return items
    before = cells_of(one_of(sides.baseline))
    return over_seeds(one.pair, len(before), len(candidate.sides), items, variant, conf)
