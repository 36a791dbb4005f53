"""What a checkpoint's repeated answers say: how much a score moves when nothing was changed."""

from __future__ import annotations

import math

import numpy as np

from evalkit.comparison.arm import Arm, Floats
from evalkit.stats.intervals import wilson_ci
from evalkit.verdict import NoiseNote


def note_of(
    arm: Arm, texts: dict[bytes, set[str]], *, task: str, checkpoint: str, greedy: bool, epochs: int
) -> NoiseNote:
    """The noise of one cell asked twice or more; `epochs` are the answers a run compares.

    Flips are counted over repeats side by side, (1, 2), (3, 4), …; their interval is Wilson's over
    items, whatever the number of pairs.  The A/A delta's standard deviation is √(2s²/kn), s² being
    the mean variance within an item (Miller 2024, arXiv:2411.00640).
    """
    arm = arm.take(np.flatnonzero(~np.isnan(arm.values).any(axis=1)))
    whole = arm.values
    n, k = whole.shape
    if n < 2 or k < 2:
        return NoiseNote(task=task, checkpoint=checkpoint, n=0, greedy=greedy)
    flips = float((whole[:, 0 : k - 1 : 2] != whole[:, 1:k:2]).mean())
    lower, upper = wilson_ci(flips * n, n, conf=0.90)
    s2 = whole.var(axis=1, ddof=1)
    return NoiseNote(
        task=task,
        checkpoint=checkpoint,
        n=n,
        epochs=k,
        flip_rate=flips,
        ci=(float(lower), float(upper)),
        sd_delta=math.sqrt(2 * _mean_variance(arm, s2) / epochs),
        greedy=greedy,
        reworded=sum(len(said) > 1 for said in texts.values()) / max(1, len(texts)),
    )


def _mean_variance(arm: Arm, variances: Floats) -> float:
    """The variance of the headline, given those of its items: Σ(W_h/n_h)²s² over all of them."""
    if arm.strata is None:
        return float(variances.mean()) / len(variances)
    weights = np.array([*arm.weights.values()])
    count = np.bincount(arm.strata, minlength=len(weights))
    each = (weights / weights.sum() / np.maximum(count, 1))[arm.strata]
    return float((np.square(each) * variances).sum())


def words(note: NoiseNote) -> str:
    """One note in one sentence, with a warning where greedy answers differ."""
    told = f"{note.checkpoint} in {note.task}: "
    if note.flip_rate is None or note.ci is None or note.sd_delta is None:
        return told + "no item was answered twice"
    told += (
        f"{100 * note.flip_rate:.1f} % of {note.n:,} items score otherwise when asked again "
        f"[{100 * note.ci[0]:.1f}, {100 * note.ci[1]:.1f}]; "
        f"by that alone a delta has a standard deviation of {100 * note.sd_delta:.2f} points"
    )
    if not note.repeatable:
        told += (
            f"; WARNING: sampling is greedy, yet {100 * (note.reworded or 0):.1f} % of the answers "
            "differ: the engine is not repeatable"
        )
    return told
