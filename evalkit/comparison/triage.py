"""Whether a score fell because answers were cut off: the commonest false alarm about a skill."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import MISSING, Arm, Floats, item_means
from evalkit.comparison.paired import Pair

CUT_OFF = ("truncated", "unclosed_think")
INCOMPLETE = (*CUT_OFF, MISSING)


def ended(arm: Arm, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """(n, k) which samples ended in one of these outcome classes."""
    return np.array([name in names for name in arm.classes], dtype=np.bool_)[arm.ends]


def completed_scores(pair: Pair) -> tuple[float, float] | None:
    """Both scores on the items that both sides answered in full: neither cut off nor failed.

    The same items on both sides, each with the mean of its complete samples; otherwise the side
    that was cut off on the hard items would look the better one.
    """
    before, after = _complete(pair.baseline), _complete(pair.candidate)
    both = ~(np.isnan(before) | np.isnan(after))
    arms = ((pair.baseline, before), (pair.candidate, after))
    scores = [arm.headline(means, both) for arm, means in arms]
    return None if None in scores else (scores[0] or 0.0, scores[1] or 0.0)


def _complete(arm: Arm) -> Floats:
    """(n,) the mean of each item's complete samples; NaN where none is."""
    if not {*INCOMPLETE} & {*arm.outcomes}:
        return arm.means
    return item_means(np.where(ended(arm, INCOMPLETE), np.nan, arm.values))


def truncation_p(pair: Pair) -> float | None:
    """One-sided mid-p McNemar that the candidate's answers are cut off more often.

    Over items: on how many the share of cut-off answers rose, against on how many it fell.  Of
    unequal numbers of answers the first ones count, since more answers have more chances.
    """
    from evalkit.stats.pvalues import mcnemar_midp

    arms = (pair.baseline, pair.candidate)
    if not any({*CUT_OFF} & {*arm.outcomes} for arm in arms):
        return None
    epochs = min(arm.epochs for arm in arms)
    before, after = (ended(arm, CUT_OFF)[:, :epochs].sum(axis=1) for arm in arms)
    if not (before.any() or after.any()):
        return None
    return float(mcnemar_midp((after < before).sum(), (after > before).sum()))
