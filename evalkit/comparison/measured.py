"""Two cells held against each other: paired and checked for comparability, not yet estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.comparison import paired, unpaired
from evalkit.comparison.comparability import Comparability, comparability
from evalkit.comparison.sides import Side, Sides, cells_of
from evalkit.errors import StoreError
from evalkit.stats.cell import Differences, Estimate

if TYPE_CHECKING:
    from evalkit.series.recipe import Recipe

ENVIRONMENT, TREATMENT = "environment", "treatment"


@dataclass(frozen=True)
class Measured:
    """One task of a comparison, before any verdict."""

    task: str
    domain: str
    pair: paired.Pair | None
    estimates: Mapping[paired.Variant, Estimate | None]  # bounds only if samples are missing
    invalid: str = ""
    flags: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    comparable: bool = True
    changes: Mapping[paired.Variant, Differences] = field(default_factory=dict)  # estimated from
    unpaired: tuple[unpaired.Summary, unpaired.Summary] | None = None  # instead of a pair

    def estimate(self, variant: paired.Variant) -> Estimate | None:
        """Its estimate under one way of filling in what is missing."""
        return self.estimates.get(variant, self.estimates.get("plain"))


def paired_up(sides: Sides) -> Measured:
    """Two cells of a task, paired but not yet estimated, or the reason why they cannot be."""
    task, domain = sides.task, sides.domain
    baseline, candidate = sides.baseline, sides.candidate
    if baseline is None or candidate is None:
        which = "baseline" if baseline is None else "candidate"
        return Measured(
            task, domain, None, {}, invalid=f"the {which} has no scores here: run the matrix"
        )
    if unpaired.bare(baseline.meta) or unpaired.bare(candidate.meta):
        if isinstance(baseline, Side) and isinstance(candidate, Side):
            return _unpaired(task, domain, baseline, candidate)
        reason = "bare scores say nothing of items, so seeds cannot be averaged: compare each"
        return Measured(task, domain, None, {}, invalid=reason)
    found = comparability(baseline.meta, candidate.meta)
    try:
        pair = paired.pair(baseline.arm, candidate.arm)
    except StoreError as error:
        return Measured(task, domain, None, {}, invalid=str(error))
    reason = _two_exams(found) or _seeds(baseline, candidate) or pair.invalid
    return Measured(
        task,
        domain,
        pair,
        {},
        reason,
        pair.flags + _differing(found),
        tuple(found.all),
        found.same_exam,
        _changes(pair, reason),
    )


def _seeds(baseline: Side | Recipe, candidate: Side | Recipe) -> str:
    """Why two recipes cannot be held against each other seed by seed."""
    before, after = (len(cells_of(side)) for side in (baseline, candidate))
    if before in (1, after):
        return ""
    return f"{before} seeds against {after}: give both as many, or compare with one checkpoint"


def _unpaired(task: str, domain: str, baseline: Side, candidate: Side) -> Measured:
    found = comparability(baseline.meta, candidate.meta)
    try:
        scores = (baseline.summary, candidate.summary)
    except StoreError as error:
        return Measured(task, domain, None, {}, invalid=str(error))
    reason = _two_exams(found)
    return Measured(
        task,
        domain,
        None,
        {} if reason else {"plain": unpaired.difference(*scores)},
        reason,
        _differing(found),
        tuple(found.all),
        found.same_exam,
        unpaired=scores,
    )


def _two_exams(found: Comparability) -> str:
    if found.same_exam:
        return ""
    return f"two different exams ({'; '.join(found.exam)}): evaluate both alike"


def _differing(found: Comparability) -> tuple[str, ...]:
    treatment = (TREATMENT,) if found.treatment else ()
    return treatment + ((ENVIRONMENT,) if found.environment else ())


def _changes(pair: paired.Pair, invalid: str) -> dict[paired.Variant, Differences]:
    if invalid:
        return {}
    variants = paired.VARIANTS if pair.has_missing else paired.VARIANTS[:1]
    return {variant: paired.differences(pair, variant) for variant in variants}
