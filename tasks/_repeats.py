"""Figures of samples that were answered several times, beside their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.types import Graded, Score

KS = (2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128)


def pass_at_k(graded: Sequence[Graded]) -> Mapping[str, float]:
    """pass@k of every k that all samples have answers for, by the unbiased estimator."""
    from evalkit.stats.samples import pass_at_k

    known = _known(graded)
    counts = [len(scores) for scores in known]
    right = [sum(score.value == 1.0 for score in scores) for scores in known]
    return {
        f"pass@{k}": float(pass_at_k(counts, right, k).mean())
        for k in KS
        if known and k <= min(counts)
    }


def majority(graded: Sequence[Graded]) -> Mapping[str, float]:
    """maj@k, k being the number of answers, where all samples have as many and more than one."""
    from evalkit.stats.samples import majority

    known = _known(graded)
    counts = {len(scores) for scores in known}
    if len(counts) != 1 or counts == {1}:
        return {}
    found = [
        majority([score.answer for score in scores], [score.value for score in scores])
        for scores in known
    ]
    return {f"maj@{counts.pop()}": sum(found) / len(found)}


def _known(graded: Sequence[Graded]) -> list[list[Score]]:
    """The scores of each sample that has any."""
    scored = ([score for score in each.scores if score is not None] for each in graded)
    return [scores for scores in scored if scores]
