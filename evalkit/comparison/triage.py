"""Whether a score fell because answers were cut off: the commonest false alarm about a skill."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.comparison.arm import CUT_OFF
from evalkit.comparison.paired import Pair


def completed_scores(pair: Pair) -> tuple[float, float] | None:
    """Both scores on the items that both sides answered in full: neither cut off nor failed.

    The same items on both sides, each with the mean of its complete samples; otherwise the side
    that was cut off on the hard items would look the better one.
    """
    arms = (pair.baseline, pair.candidate)
    both = ~(np.isnan(arms[0].completed) | np.isnan(arms[1].completed))
    scores = [arm.headline(arm.completed, both) for arm in arms]
    return None if None in scores else (scores[0] or 0.0, scores[1] or 0.0)


def truncation_ps(pairs: Sequence[Pair | None]) -> list[float | None]:
    """One-sided mid-p McNemar of each pair that the candidate's answers are cut off more often.

    Over items: on how many the share of cut-off answers rose, against on how many it fell; None
    where no answer was cut off.
    """
    from evalkit.stats.pvalues import mcnemar_midp

    moved = [_moved(pair) if pair else None for pair in pairs]
    known = [each for each in moved if each is not None]
    if not known:
        return [None for _ in pairs]
    found = iter(mcnemar_midp(*np.array(known).T).tolist())
    return [None if each is None else next(found) for each in moved]


def _moved(pair: Pair) -> tuple[int, int] | None:
    """On how many items fewer answers were cut off, and on how many more; None if none ever was.

    Of unequal numbers of answers the first ones count, since more answers have more chances.
    """
    arms = (pair.baseline, pair.candidate)
    if not any({*CUT_OFF} & {*arm.outcomes} for arm in arms):
        return None
    epochs = min(arm.epochs for arm in arms)
    before, after = (arm.cut_off[:, :epochs].sum(axis=1) for arm in arms)
    if not (before.any() or after.any()):
        return None
    return int(np.count_nonzero(after < before)), int(np.count_nonzero(after > before))
