"""A recipe: one checkpoint a training seed, averaged, with the spread between the seeds counted.

All seeds sit the same items.  The recipe's score of an item is the mean over its seeds; its
uncertainty is that of the items and that of the seeds, SE² = s_b²/s + SE²_items.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.comparison import paired
from evalkit.comparison.arm import Arm, item_means, merged_classes
from evalkit.comparison.comparability import comparability
from evalkit.comparison.rows import Items
from evalkit.errors import ConfigError, StoreError
from evalkit.stats.cell import Estimate
from evalkit.stats.designs import seeds

if TYPE_CHECKING:
    from evalkit.comparison.sides import Side

SEPARATOR = ","


@dataclass(frozen=True)
class Recipe:
    """The cells of one task by every training seed."""

    names: tuple[str, ...]
    sides: tuple[Side, ...]

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the first seed's `cell.json` says; `arm` refuses seeds that differ from it."""
        return self.sides[0].meta

    @cached_property
    def arm(self) -> Arm:
        """Every seed's samples of an item side by side; StoreError where they do not belong."""
        first = self.sides[0]
        for name, side in zip(self.names[1:], self.sides[1:], strict=True):
            reason = _differs(first, side)
            if reason:
                raise StoreError(f"{name} against {self.names[0]}: {reason}")
        return _beside([side.arm for side in self.sides])

    def release(self) -> None:
        """Lets go of the scores, which would be read again if they were needed again."""
        vars(self).pop("arm", None)
        for side in self.sides:
            side.release()


def members(name: str) -> tuple[str, ...]:
    """The checkpoints of `a,b,c`; a name without a comma is one checkpoint."""
    found = tuple(part.strip() for part in name.split(SEPARATOR))
    if len(set(found)) < len(found) or not all(found):
        raise ConfigError(f"{name!r}: give each seed's checkpoint once, with commas between")
    return found


def seeds_of(name: str, there: Iterable[str]) -> tuple[str, ...]:
    """Which of the checkpoints that are there are name-s<seed>, by seed."""
    of_seed = {
        int(seed): other
        for other in there
        for stem, mark, seed in [other.rpartition("-s")]
        if mark and stem == name and seed.isdecimal()
    }
    return tuple(of_seed[seed] for seed in sorted(of_seed))


def over_seeds(
    pair: paired.Pair,
    before: int,
    after: int,
    items: Estimate,
    variant: paired.Variant = "plain",
    conf: float = 0.90,
) -> Estimate:
    """The mean over the candidate's seeds, `items` being the estimate of seed-averaged items.

    A baseline of one checkpoint (`before` is 1) is the same for all; one of as many seeds is held
    against the candidate's seed by seed, since each may have started from its own.
    """
    old, new, _ = paired.samples(pair, variant)
    olds = [item_means(part) for part in np.split(old, before, axis=1)]
    news = [item_means(part) for part in np.split(new, after, axis=1)]
    pairs = zip(olds * after if before == 1 else olds, news, strict=True)
    deltas = [pair.candidate.headline(one - other) for other, one in pairs]
    return seeds([items.delta if d is None else d for d in deltas], items.se, items.n, conf)


def _differs(first: Side, other: Side) -> str:
    exam = comparability(first.meta, other.meta).exam
    if exam:
        return f"two different exams ({'; '.join(exam)}): evaluate both alike"
    if first.arm.epochs != other.arm.epochs:
        return f"{other.arm.epochs} answers an item, not {first.arm.epochs}: ask all seeds as often"
    return paired.pair(first.arm, other.arm).invalid


def _beside(arms: Sequence[Arm]) -> Arm:
    common: Items = arms[0].items
    for arm in arms[1:]:
        common = np.intersect1d(common, arm.items, assume_unique=True)
    taken = [arm.take(np.flatnonzero(np.isin(arm.items, common))) for arm in arms]
    classes, ends = merged_classes(taken)
    return replace(
        taken[0],
        values=np.hstack([arm.values for arm in taken]),
        ends=np.hstack(ends),
        classes=classes,
    )
