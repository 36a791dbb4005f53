"""Two cells side by side: the same items, their scores, and what is missing.

Items are paired by identity, never by position.  A missing sample (an infrastructure error, a
judgment that could not be had) is neither right nor wrong: the estimate leaves it out, and the
verdict must also hold with every such sample filled in for the worst and for the best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Arm, Floats
from evalkit.comparison.remedy import remedy
from evalkit.comparison.rows import Items, Numbers
from evalkit.stats.cell import Differences
from evalkit.stats.missing import MISSING_SHARE, missing_bounds

FULL_MARKS = ("correct", "win")
FULL_OVERLAP, LEAST_OVERLAP = 0.99, 0.95
Variant = Literal["plain", "worst", "best"]
"""How samples that are missing count: left out, or against the candidate, or for it."""

VARIANTS: tuple[Variant, ...] = ("plain", "worst", "best")
BOUNDS: Mapping[Variant, tuple[float, float]] = {"worst": (1.0, 0.0), "best": (0.0, 1.0)}
"""What a missing sample of the baseline and of the candidate counts as, at worst and at best."""


@dataclass(frozen=True)
class Pair:
    """Two arms on their common items, or the reason why they cannot be compared."""

    baseline: Arm
    candidate: Arm
    flags: tuple[str, ...] = ()
    invalid: str = ""

    @property
    def n(self) -> int:
        """Items that both arms have."""
        return len(self.baseline.items)

    @property
    def has_missing(self) -> bool:
        """Whether any sample due is missing in either arm."""
        return bool(self.baseline.missing or self.candidate.missing)


def pair(baseline: Arm, candidate: Arm) -> Pair:
    """The two arms on the items they share, with every data rule applied."""
    if _same(baseline.items, candidate.items):
        return _checked(baseline, candidate, ())
    _, left, right = np.intersect1d(
        baseline.items, candidate.items, assume_unique=True, return_indices=True
    )
    share = len(left) / max(len(baseline.items), len(candidate.items), 1)
    if share < LEAST_OVERLAP:
        reason = (
            f"only {len(left)} items in common of {len(baseline.items)} and "
            f"{len(candidate.items)}: evaluate both on the same items"
        )
        return Pair(baseline.take(left), candidate.take(right), invalid=reason)
    flags = () if share >= FULL_OVERLAP else ("partial_overlap",)
    return _checked(baseline.take(left), candidate.take(right), flags)


def _same(left: Items, right: Items) -> bool:
    if left is right:
        return True
    # as whole numbers: numpy compares byte strings character by character
    words, others = (np.ascontiguousarray(each).view(np.uint64) for each in (left, right))
    return np.array_equal(words, others)


def _checked(baseline: Arm, candidate: Arm, flags: tuple[str, ...]) -> Pair:
    for name, arm in (("baseline", baseline), ("candidate", candidate)):
        if not arm.within_bounds:
            low, high, _ = arm.native
            reason = f"the {name} has scores outside the task's bounds {low:g} to {high:g}"
            return Pair(baseline, candidate, flags, reason)
        if arm.missing > MISSING_SHARE:
            reason = (
                f"{arm.missing:.1%} of the {name}'s samples are missing (1 % is tolerated): "
                f"{remedy(arm)}"
            )
            return Pair(baseline, candidate, flags, reason)
    return Pair(baseline, candidate, flags, _too_few(baseline, candidate))


def _too_few(baseline: Arm, candidate: Arm) -> str:
    """Why there is no estimate: fewer than two independent units, in all or in a stratum."""
    answered = ~np.isnan(baseline.means) & ~np.isnan(candidate.means)
    clusters = clusters_of(baseline, candidate)
    said = "items" if clusters is None else "clusters of items"
    if baseline.strata is None:
        count = _units(clusters, answered)
        return "" if count > 1 else f"{count} {said} were answered by both sides; it takes two"
    for number, (name, weight) in enumerate(baseline.weights.items()):
        count = _units(clusters, answered & (baseline.strata == number))
        if weight > 0 and count < 2:
            return (
                f"{count} {said} of its stratum {name!r} were answered by both sides; it takes "
                "two of each stratum that counts: ask more items"
            )
    return ""


def _units(clusters: Numbers | None, among: NDArray[np.bool_]) -> int:
    if clusters is None:
        return int(np.count_nonzero(among))
    return len(np.unique(clusters[among]))


def clusters_of(baseline: Arm, candidate: Arm) -> Numbers | None:
    """Whose items belong together, as either side says: cells of before it was told do not."""
    return baseline.clusters if baseline.clusters is not None else candidate.clusters


def differences(pair: Pair, variant: Variant = "plain") -> Differences:
    """Candidate - baseline per item: on the samples there are, or at the worst or the best."""
    before, after = pair.baseline, pair.candidate
    binary = before.zero_one and after.zero_one
    change, whole = after.means - before.means, True
    keep = np.ones(len(change), dtype=np.bool_)
    if pair.has_missing:
        bounds = missing_bounds(before.values, after.values)
        if variant == "plain":
            keep = ~np.isnan(change)
            whole = not any(bool(np.isnan(arm.values[keep]).any()) for arm in (before, after))
        known = {"plain": bounds.differences, "worst": bounds.worst, "best": bounds.best}
        change = known[variant]
    clusters, strata = clusters_of(before, after), before.strata
    single = before.epochs == after.epochs == 1
    lattice = lcm(before.epochs, after.epochs) if binary and whole else None
    return Differences(
        change,
        binary and single,
        None if clusters is None else clusters[keep],
        lattice,
        None if strata is None else strata[keep],
        tuple(before.weights.values()),
    )


def samples(pair: Pair, variant: Variant = "plain") -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Both arms' samples, n × k, as a variant has them, and the items that take part."""
    arms = (pair.baseline, pair.candidate)
    if variant == "plain":
        taking = ~(np.isnan(arms[0].means) | np.isnan(arms[1].means))
        return arms[0].values, arms[1].values, taking
    before, after = (
        np.where(np.isnan(arm.values), fill, arm.values)
        for arm, fill in zip(arms, BOUNDS[variant], strict=True)
    )
    return before, after, np.ones(pair.n, dtype=np.bool_)


def lost_to(pair: Pair) -> dict[str, int]:
    """What became of the candidate's samples on the items whose score fell."""
    fell = pair.candidate.means < pair.baseline.means
    ends = pair.candidate.counted(pair.candidate.ends[fell])
    return {end: count for end, count in ends.items() if end not in FULL_MARKS}
