"""The leaderboard's columns: accuracy by category, and what each version makes of them.

An overall score of V3 or V4 is none of these, for it takes categories of several turns; and V2's
took four columns of calls that were run, which its authors have retired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.types import Graded

COUNTS = {
    "simple_python": 400,
    "simple_java": 100,
    "simple_javascript": 50,
    "multiple": 200,
    "parallel": 200,
    "parallel_multiple": 200,
    "irrelevance": 240,
    "live_simple": 258,
    "live_multiple": 1053,
    "live_parallel": 16,
    "live_parallel_multiple": 24,
    "live_irrelevance": 884,
    "live_relevance": 16,
}
"""The categories of one turn, and how many questions each has."""

Weights = Mapping[str, float]


def mean(*parts: Weights) -> Weights:
    """Parts that count alike, whatever their size."""
    names = {name: None for part in parts for name in part}
    return {name: sum(part.get(name, 0.0) for part in parts) / len(parts) for name in names}


def pooled(*names: str) -> Weights:
    """Categories that count by their questions."""
    whole = sum(COUNTS[name] for name in names)
    return {name: COUNTS[name] / whole for name in names}


def only(name: str) -> Weights:
    """One category."""
    return {name: 1.0}


SIMPLE = mean(only("simple_python"), only("simple_java"), only("simple_javascript"))
CALLED = tuple(map(only, ("multiple", "parallel", "parallel_multiple")))
LIVE_CALLED = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
NON_LIVE_AST = mean(SIMPLE, *CALLED)
LIVE_AST = pooled(*LIVE_CALLED)
IRRELEVANCE = mean(only("irrelevance"), only("live_irrelevance"))
NON_LIVE_V3 = mean(SIMPLE, *CALLED, only("irrelevance"))
LIVE_V3 = pooled(*LIVE_CALLED, "live_irrelevance", "live_relevance")
BOTH_V2 = tuple(
    mean(part, only(live)) for part, live in zip((SIMPLE, *CALLED), LIVE_CALLED, strict=True)
)

COLUMNS: Mapping[str, Weights] = {
    "non-live simple": SIMPLE,
    "non-live AST": NON_LIVE_AST,
    "live AST": LIVE_AST,
    "irrelevance detection": IRRELEVANCE,
    "relevance detection": only("live_relevance"),
    "V2 AST": mean(*BOTH_V2),
    "V2 and V3 live": LIVE_V3,
    "V3 non-live": NON_LIVE_V3,
}
"""Columns that are put together; what names no version is V4's."""

SINGLE_TURN: Mapping[str, Weights] = {
    "v2": mean(*BOTH_V2, IRRELEVANCE, only("live_relevance")),
    "v2-live": LIVE_V3,
    "v3": mean(NON_LIVE_V3, LIVE_V3),
    "v4": mean(NON_LIVE_AST, LIVE_AST, IRRELEVANCE),
}
"""What a version's overall score makes of its categories of one turn, as shares of one."""


def every(weights: Weights) -> Weights:
    """Weights of all categories, nothing where a version does not count one."""
    return {name: weights.get(name, 0.0) for name in COUNTS}


def figures(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Accuracy in each category, and the columns whose categories are all there."""
    found: dict[str, list[float]] = {}
    for one in graded:
        known = [score.value for score in one.scores if score is not None]
        if known:
            found.setdefault(one.sample.stratum, []).append(sum(known) / len(known))
    accuracy = {name: sum(found[name]) / len(found[name]) for name in COUNTS if name in found}
    columns = {
        name: sum(weight * accuracy[category] for category, weight in weights.items())
        for name, weights in COLUMNS.items()
        if weights.keys() <= accuracy.keys()
    }
    return {**accuracy, **columns}
