"""Arms of several tasks put together to one, whose items are those of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.comparison.arm import Arm, merged_classes
from evalkit.comparison.rows import Numbers


def unlike(arms: Mapping[str, Arm]) -> str:
    """Why the arms of these tasks cannot be put together; empty where they can."""
    for other, arm in arms.items():
        name, first = next(iter(arms.items()))
        if arm.strata is not None:
            return f"{other} weighs its strata, so that its score is no mean over items"
        if arm.native != first.native:
            return f"{name} and {other} are scored on different scales"
        if arm.epochs != first.epochs:
            return (
                f"{first.epochs} answers an item of {name} and {arm.epochs} of {other}: ask all "
                "parts as often"
            )
    return ""


def joined(arms: Sequence[Arm]) -> Arm:
    """The arms as one, its items in order; they must be alike.

    Identities of items are told from the task's name too, so no two arms share one.
    """
    classes, ends = merged_classes(arms)
    items = np.concatenate([arm.items for arm in arms])
    whole = Arm(
        items,
        np.concatenate([arm.values for arm in arms]),
        np.concatenate(ends),
        classes,
        _clusters(arms),
        arms[0].native,
    )
    return whole.take(np.argsort(items))


def _clusters(arms: Sequence[Arm]) -> Numbers | None:
    """The clusters of all by number, none of which is in two arms."""
    if all(arm.clusters is None for arm in arms):
        return None
    found: list[Numbers] = []
    taken = 0
    for arm in arms:
        own = np.arange(len(arm.items)) if arm.clusters is None else arm.clusters
        numbers = np.unique(own, return_inverse=True)[1]
        found.append(numbers + taken)
        taken += len(own)
    return np.concatenate(found)
