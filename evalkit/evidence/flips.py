"""The items that two sides score differently on, and the samples that show it best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Floats
from evalkit.evidence.sheets import Side, aligned
from evalkit.evidence.telling import shares, telling
from evalkit.evidence.values import Flip, Flips, Moved


def flips_between(before: Side, after: Side, most: int) -> Flips:
    """How many items changed sides, and at most so many of them, the lost ones first."""
    before, after = aligned(before, after)
    change = after.means - before.means
    lost, gained = np.flatnonzero(change < 0), np.flatnonzero(change > 0)
    for_lost, for_gained = shares(len(lost), len(gained), most)
    picked = [
        *chosen(after, change, lost, for_lost),
        *chosen(after, change, gained, for_gained),
    ]
    return Flips(
        len(lost),
        len(gained),
        tuple(flip_at(before, after, change, index) for index in picked),
        _slices(after, change),
    )


def chosen(after: Side, change: Floats, of: NDArray[np.intp], most: int) -> list[int]:
    """At most so many of these items, by index: those that tell most."""
    if not most:
        return []
    ends = [
        after.text("outcome", index, after.extreme(index, best=bool(change[index] > 0))) or ""
        for index in of.tolist()
    ]
    return [int(of[place]) for place in telling(change[of], ends, most)]


def flip_at(before: Side, after: Side, change: Floats, index: int) -> Flip:
    """One item of two aligned sides: each by the sample that lies furthest from the other."""
    rose = bool(change[index] > 0)
    old, new = before.extreme(index, best=not rose), after.extreme(index, best=rose)
    told = {name: after.text(name, index, new) or "" for name in ("id", "stratum", "target")}
    return Flip(
        item=after.item(index),
        delta=float(change[index]),
        before=before.graded(index, old),
        after=after.graded(index, new),
        **told,
    )


def _slices(side: Side, change: Floats) -> Mapping[str, Moved]:
    """How many items of each stratum changed sides; nothing where there is but one stratum."""
    names, of = side.coded("stratum")
    counted = {
        name: Moved(
            int(np.count_nonzero(mine)),
            int(np.count_nonzero(change[mine] < 0)),
            int(np.count_nonzero(change[mine] > 0)),
        )
        for code, name in enumerate(names)
        if (mine := of == code).any()
    }
    return dict(sorted(counted.items())) if len(counted) > 1 else {}
