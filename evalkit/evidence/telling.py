"""Which flips tell most, where there are more than can be shown.

The largest changes come first.  Among equal ones each way of ending (wrong, truncated, refused,
…) has its turn, so that a rare cause is seen beside a common one; within a way of ending, items
come in the store's own order, which is a fixed shuffle.  What is shown is therefore a fair sample
of each cause, the same every time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RULE = (
    "the largest changes first; of equal ones, each way of ending in turn, "
    "within it a fixed random sample"
)
LOST_SHARE = 0.75


def shares(lost: int, gained: int, most: int) -> tuple[int, int]:
    """How many lost and how many gained items to show: three to one, as far as there are both."""
    for_lost = min(lost, max(round(most * LOST_SHARE), most - gained))
    return for_lost, min(gained, most - for_lost)


def telling(change: NDArray[np.float64], ends: Sequence[str], most: int) -> list[int]:
    """The indices of the most telling of these changes, `ends` saying how each sample ended."""
    turns: dict[tuple[float, str], int] = {}
    keys = []
    for index, (size, end) in enumerate(zip(np.abs(change).round(9).tolist(), ends, strict=True)):
        turn = turns.get((size, end), 0)
        turns[size, end] = turn + 1
        keys.append((-size, turn, end, index))
    return [index for *_, index in sorted(keys)[:most]]
