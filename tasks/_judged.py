"""Figures of judged tasks beside the mean: win rates as leaderboards have them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from evalkit import Graded, Score


def known(graded: Sequence[Graded]) -> Iterator[tuple[Graded, float, Mapping[str, Any]]]:
    """Every sample that has a grade: its mean over epochs, and the details of its first score."""
    for each in graded:
        scores = [score for score in each.scores if score and math.isfinite(score.value)]
        if scores:
            yield each, fmean(score.value for score in scores), scores[0].details


def details(graded: Graded) -> Mapping[str, Any]:
    """What is noted of a sample's first score, graded or not."""
    first = next((score for score in graded.scores if score), Score(math.nan))
    return first.details


def raw_metrics(graded: Sequence[Graded]) -> dict[str, float]:
    """The win rate with its standard error over answers, the share won outright, and lengths."""
    rows = list(known(graded))
    if len(rows) < 2:
        return {}
    values = [value for _, value, _ in rows]
    lengths = [noted["length"][0] for _, _, noted in rows if "length" in noted]
    found = {
        "win_rate": fmean(values),
        "win_rate_se": stdev(values) / math.sqrt(len(values)),
        "discrete_win_rate": fmean((v > 0.5) + (v == 0.5) / 2 for v in values),
    }
    return {**found, "length": fmean(lengths)} if lengths else found
