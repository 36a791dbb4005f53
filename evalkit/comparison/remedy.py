"""What to do where too many samples of a cell are missing."""

from __future__ import annotations

from collections import Counter

import numpy as np

from evalkit.comparison.arm import Arm
from evalkit.judging.hearing import UNHEARD

AGAIN = "run again, and what failed is asked again"


def remedy(arm: Arm) -> str:
    """Whether another run mends it: not where most of them were judged, and got no verdict."""
    missing = arm.ends[np.isnan(arm.values)].ravel().tolist()
    lost = Counter(arm.classes[end] for end in missing)
    for name in UNHEARD:
        lost.pop(name, None)
    unread = {name: lost[name] for name in sorted(lost) if name.startswith("judge_")}
    if 2 * sum(unread.values()) <= len(missing):
        return AGAIN
    told = ", ".join(f"{name} {count}" for name, count in unread.items())
    return (
        f"their judge gave no verdict that can be read ({told}): ask it again with "
        "`judge: {retries: 2}`, or take another judge"
    )
