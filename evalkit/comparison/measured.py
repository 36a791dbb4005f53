"""Two cells held against each other: paired and checked for comparability, not yet estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from evalkit.comparison import paired, unpaired
from evalkit.comparison.comparability import Comparability, comparability
from evalkit.comparison.joining import joined, unlike
from evalkit.comparison.sides import Joined, Side, Sides, cells_of
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
    parts: tuple[str, ...] = ()  # the tasks whose items it has, where it is an exam in parts

    def estimate(self, variant: paired.Variant) -> Estimate | None:
        """Its estimate under one way of filling in what is missing."""
        return self.estimates.get(variant, self.estimates.get("plain"))


def paired_up(sides: Sides) -> Measured:
    """Two cells of a task, paired but not yet estimated, or the reason why they cannot be."""
    task, domain = sides.task, sides.domain
    baseline, candidate = sides.baseline, sides.candidate
    if isinstance(baseline, Joined) or isinstance(candidate, Joined):
        return _as_one(sides)
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


def _as_one(sides: Sides) -> Measured:
    """An exam in parts: valid only if each part is, its items those of all of them."""
    both = (sides.baseline, sides.candidate)
    wholes = [each for each in both if isinstance(each, Joined)]
    olds, news = (each.parts if isinstance(each, Joined) else {} for each in both)
    parts = [
        paired_up(Sides(part, sides.domain, olds.get(part), news.get(part)))
        for part in wholes[0].parts
    ]
    pairs = {part.task: part.pair for part in parts if part.pair}
    unlike_parts = next((each.split for each in wholes if each.split), "") or _unlike(pairs)
    invalid = "; ".join(f"{part.task}: {part.invalid}" for part in parts if part.invalid)
    invalid = invalid or unlike_parts
    pair = None
    if not unlike_parts and len(pairs) == len(parts):
        pair = _joined([*pairs.values()])
    return Measured(
        sides.task,
        sides.domain,
        pair,
        {},
        invalid,
        tuple(dict.fromkeys(flag for part in parts for flag in part.flags)),
        tuple(dict.fromkeys(said for part in parts for said in part.differences)),
        all(part.comparable for part in parts),
        _changes(pair, invalid) if pair else {},
        parts=tuple(wholes[0].parts),
    )


def _unlike(pairs: Mapping[str, paired.Pair]) -> str:
    """Why the parts of either side cannot be one."""
    befores = {task: pair.baseline for task, pair in pairs.items()}
    afters = {task: pair.candidate for task, pair in pairs.items()}
    return unlike(befores) or unlike(afters)


def _joined(pairs: Sequence[paired.Pair]) -> paired.Pair:
    """The pairs of all parts as one; whose items belong together is told by either side."""
    told = [paired.clusters_of(pair.baseline, pair.candidate) for pair in pairs]
    sides = zip(told, pairs, strict=True)
    arms = [
        (replace(pair.baseline, clusters=own), replace(pair.candidate, clusters=own))
        for own, pair in sides
    ]
    flags = dict.fromkeys(flag for pair in pairs for flag in pair.flags)
    before, after = (joined(each) for each in zip(*arms, strict=True))
    return paired.Pair(before, after, tuple(flags))


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
