"""What several answers to each item say together: avg@k, pass@k, pass^k and maj@k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from evalkit.stats.samples import average, majority, pass_at_k, pass_hat_k
from evalkit.types import Score

LEAST = 2


def of_k(items: Iterable[Sequence[Score | None]], best: float, worst: float) -> dict[str, float]:
    """The figures of answers that are right or wrong; none where a score lies between.

    k runs over 2, 3 and 4, the powers of two, and the answers per item.  An item of which an answer
    is missing is left out, and maj@k where no answers were read.
    """
    whole = [[score for score in item if score] for item in items if None not in item]
    if not whole or len(whole[0]) < LEAST:
        return {}
    values = np.array([[score.value for score in item] for item in whole])
    if not np.isin(values, (best, worst)).all():
        return {}
    right, n = values == best, values.shape[1]
    correct = right.sum(axis=1)
    found = {f"avg@{n}": float(average(right).mean())}
    for k in _ks(n):
        found[f"pass@{k}"] = float(pass_at_k(n, correct, k).mean())
        found[f"pass^{k}"] = float(pass_hat_k(n, correct, k).mean())
    answers = [[score.answer for score in item] for item in whole]
    if any(answer is not None for item in answers for answer in item):
        worth = right.astype(float).tolist()
        votes = [majority(*item) for item in zip(answers, worth, strict=True)]
        found[f"maj@{n}"] = float(np.mean(votes))
    return found


def _ks(n: int) -> list[int]:
    powers = [2**i for i in range(1, n.bit_length())]
    return sorted({*range(2, min(4, n) + 1), *powers, n})
