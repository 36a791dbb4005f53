"""Two cells measured against each other: paired, checked for comparability, estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from evalkit import paired
from evalkit.arm import Arm, load
from evalkit.comparability import comparability
from evalkit.errors import StoreError
from evalkit.recipe import Recipe, over_seeds
from evalkit.stats.estimate import Differences, Estimate, estimates
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
    return [replace(one, estimates=each) for one, each in zip(found, known, strict=True)]


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
    found = comparability(baseline.meta, candidate.meta)
    try:
        pair = paired.pair(baseline.arm, candidate.arm)
    except StoreError as error:
        return Measured(task, domain, None, {}, invalid=str(error))
    reason = pair.invalid
    if not found.same_exam:
        reason = f"two different exams ({'; '.join(found.exam)}): evaluate both alike"
    flags = pair.flags
    flags += (TREATMENT,) if found.treatment else ()
    flags += (ENVIRONMENT,) if found.environment else ()
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


def _changes(pair: paired.Pair) -> dict[str, Differences]:
    found = {"plain": paired.differences(pair)}
    if pair.has_missing:
        for variant, fill in BOUNDS.items():
            found[variant] = paired.differences(pair, fill)
    return found
