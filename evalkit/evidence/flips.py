"""The items that two sides score differently on, and the samples that show it best."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Floats, item_means
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
        *chosen(before, after, change, lost, for_lost),
        *chosen(before, after, change, gained, for_gained),
    ]
    return Flips(
        len(lost),
        len(gained),
        tuple(flip_at(before, after, change, index) for index in picked),
        slices_of(after, change),
    )


def chosen(before: Side, after: Side, change: Floats, of: NDArray[np.intp], most: int) -> list[int]:
    """At most so many of these items, by index: those that tell most."""
    if not most:
        return []
    ends = [
        after.text("outcome", index, telling_columns(before, after, index)[1]) or ""
        for index in of.tolist()
    ]
    return [int(of[place]) for place in telling(change[of], ends, most)]


def flip_at(before: Side, after: Side, change: Floats, index: int) -> Flip:
    """One item of two aligned sides, by the samples that show its change best."""
    old, new = telling_columns(before, after, index)
    told = {name: after.text(name, index, new) or "" for name in ("id", "stratum", "target")}
    return Flip(
        item=after.item(index),
        delta=float(change[index]),
        before=before.graded(index, old),
        after=after.graded(index, new),
        **told,
    )


def telling_columns(before: Side, after: Side, index: int) -> tuple[int, int]:
    """The columns of the two samples of an item that show its change best.

    Where both sides were asked equally often, or each training seed was, they are of one epoch,
    since an epoch may ask in its own way; otherwise of the two that lie furthest apart.
    """
    old, new = before.values[index], after.values[index]
    rose = bool(item_means(new[None])[0] > item_means(old[None])[0])
    sign = 1 if rose else -1
    if len(new) % len(old):
        return _furthest(-sign * old), _furthest(sign * new)
    column = _furthest(sign * (new - np.tile(old, len(new) // len(old))))
    return column % len(old), column


def _furthest(values: Floats) -> int:
    """The first of the largest; a missing sample is never it, unless all are missing."""
    return int(np.where(np.isnan(values), -np.inf, values).argmax())


def slices_of(side: Side, change: Floats) -> Mapping[str, Moved]:
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
