"""Which of the numbers that lm-eval gives of a task stands for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from evalkit.errors import did_you_mean
from evalkit.interchange._documents import finite, number
from evalkit.interchange.imported import Unfit


class Headline(NamedTuple):
    """The number of a task that stands for it."""

    metric: str
    filter: str
    score: float
    stderr: float | None


def headline_of(task: str, numbers: Mapping[str, Any], metric: str) -> Headline:
    """The first `metric,filter` of a task's results, or the one asked for; raises Unfit."""
    found: dict[str, Headline] = {}
    for key, value in numbers.items():
        name, _, filter_ = key.partition(",")
        score = number(value)
        if score is None or name.endswith("_stderr") or name == "sample_len":
            continue
        if not math.isfinite(score):
            raise Unfit(f"{key} is {score}")
        stderr = finite(numbers.get(f"{name}_stderr,{filter_}" if filter_ else f"{name}_stderr"))
        found[key] = Headline(name, filter_ or "none", score, stderr)
    if not found:
        raise Unfit("no score among its results")
    if not metric:
        return next(iter(found.values()))
    for key, headline in found.items():
        if metric in (key, headline.metric):
            return headline
    raise Unfit(f"no metric {metric!r}{did_you_mean(metric, found)}")
