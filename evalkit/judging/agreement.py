"""How far verdicts agree: with labels, and with themselves.  Pure functions of grades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

from evalkit.judging.tally import side


def kappa(
    pairs: Sequence[tuple[float, float]], scale: tuple[float, float] = (0.0, 1.0)
) -> float | None:
    """Cohen's kappa of two raters; None where chance alone makes them agree, or nobody is rated.

    From 0 to 1 a grade is a verdict: won, lost or a tie.  On any other scale it is a whole number,
    and a disagreement weighs as the square of its size.  Cohen 1960, Educ Psychol Meas 20:37;
    1968, Psychol Bull 70:213.
    """
    verdicts = scale == (0.0, 1.0)
    rated = [
        (side(a), side(b)) if verdicts else (math.floor(a + 0.5), math.floor(b + 0.5))
        for a, b in pairs
    ]
    if not rated:
        return None

    def apart(a: int, b: int) -> float:
        return float(a != b) if verdicts else float((a - b) ** 2)

    seen = fmean(apart(a, b) for a, b in rated)
    by_chance = fmean(apart(a, b) for a, _ in rated for _, b in rated)
    return 1 - seen / by_chance if by_chance > 0 else None


def same_verdict(grades: Sequence[float], scale: tuple[float, float]) -> bool:
    """Whether several grades of one answer are one verdict."""
    if scale == (0.0, 1.0):
        return len({side(grade) for grade in grades}) == 1
    return len({math.floor(grade + 0.5) for grade in grades}) == 1


def repeat_sd(answers: Sequence[Sequence[float]], scale: tuple[float, float]) -> float:
    """Standard deviation of a grade over repeats, pooled over answers, of the scale's width."""
    low, high = scale
    pooled = fmean(variance(grades) for grades in answers)
    return math.sqrt(pooled) / (high - low)
