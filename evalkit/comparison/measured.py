"""Two cells measured against each other: paired, checked for comparability, estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from evalkit.comparison import paired, unpaired
from evalkit.comparison.arm import Arm
from evalkit.comparison.comparability import Comparability, comparability
from evalkit.comparison.scores import load
from evalkit.errors import StoreError
from evalkit.series.recipe import Recipe, over_seeds
from evalkit.stats.cell import Differences, Estimate
from evalkit.stats.estimate import estimates
from evalkit.store import Cell

ENVIRONMENT, TREATMENT = "environment", "treatment"
BOUNDS: dict[str, tuple[float, float]] = {"worst": (1.0, 0.0), "best": (0.0, 1.0)}
"""What a missing sample of the baseline and of the candidate counts as, at worst and at best."""


@dataclass(frozen=True)
class Side:
    """One checkpoint's cell of one task, as found in the store."""

    cell: Cell
    meta: Mapping[str, Any]  # what `cell.json` says
    preset: str = ""

    @cached_property
    def arm(self) -> Arm:
        """Its scores, read once; raises StoreError where they cannot be read."""
        return load(self.cell, self.meta, self.preset)

    def release(self) -> None:
        """Lets go of its scores, which would be read again if they were needed again."""
        vars(self).pop("arm", None)

    @property
    def summary(self) -> unpaired.Summary:
        """Its score alone; raises StoreError where there is none."""
        if unpaired.bare(self.meta):
            return unpaired.published(self.meta)
        return unpaired.summary(self.arm)


@dataclass(frozen=True)
class Measured:
    """One task of a comparison, before any verdict."""

    task: str
    domain: str
    pair: paired.Pair | None
    estimates: Mapping[str, Estimate | None]  # "plain", and "worst", "best" if samples are missing
    invalid: str = ""
    flags: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    comparable: bool = True
    changes: Mapping[str, Differences] = field(default_factory=dict)  # what was estimated from
    unpaired: tuple[unpaired.Summary, unpaired.Summary] | None = None  # instead of a pair

    def estimate(self, variant: str) -> Estimate | None:
        """Its estimate under one way of filling in what is missing."""
        return self.estimates.get(variant, self.estimates.get("plain"))


@dataclass(frozen=True)
class Sides:
    """The two cells of one task; None where there is no such cell, or no scores in it."""

    task: str
    domain: str
    baseline: Side | None
    candidate: Side | Recipe | None


def measure(sides: Sequence[Sides], conf: float = 0.90) -> list[Measured]:
    """Pairs the cells of every task and estimates their differences, or says why it cannot."""
    found = [_paired(each) for each in sides]
    due = [(i, name, d) for i, one in enumerate(found) for name, d in one.changes.items()]
    known: list[dict[str, Estimate | None]] = [{} for _ in found]
    for (i, name, _), estimate in zip(due, estimates([d for *_, d in due], conf), strict=True):
        known[i][name] = _spread(sides[i].candidate, found[i].pair, name, estimate, conf)
    return [
        replace(one, estimates={**one.estimates, **each})
        for one, each in zip(found, known, strict=True)
    ]


def _spread(
    candidate: Side | Recipe | None,
    pair: paired.Pair | None,
    variant: str,
    items: Estimate,
    conf: float,
) -> Estimate:
    """The estimate with the spread between training seeds, where the candidate has several."""
    if pair is None or not isinstance(candidate, Recipe):
        return items
    return over_seeds(pair, len(candidate.sides), items, BOUNDS.get(variant), conf)


def _paired(sides: Sides) -> Measured:
    """Two cells of a task, paired but not yet estimated."""
    task, domain = sides.task, sides.domain
    baseline, candidate = sides.baseline, sides.candidate
    if baseline is None or candidate is None:
        which = "baseline" if baseline is None else "candidate"
        return Measured(
            task, domain, None, {}, invalid=f"the {which} has no scores here: run the matrix"
        )
    if unpaired.bare(baseline.meta) or unpaired.bare(candidate.meta):
        if isinstance(candidate, Recipe):
            reason = "bare scores say nothing of items, so seeds cannot be averaged: compare each"
            return Measured(task, domain, None, {}, invalid=reason)
        return _unpaired(task, domain, baseline, candidate)
    found = comparability(baseline.meta, candidate.meta)
    try:
        pair = paired.pair(baseline.arm, candidate.arm)
    except StoreError as error:
        return Measured(task, domain, None, {}, invalid=str(error))
    reason = _two_exams(found) or pair.invalid
    flags = pair.flags + _differing(found)
    return Measured(
        task,
        domain,
        pair,
        {},
        reason,
        flags,
        tuple(found.all),
        found.same_exam,
        {} if reason else _changes(pair),
    )


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


def _changes(pair: paired.Pair) -> dict[str, Differences]:
    found = {"plain": paired.differences(pair)}
    if pair.has_missing:
        found["worst"] = paired.differences(pair, "worst")
        found["best"] = paired.differences(pair, "best")
    return found
