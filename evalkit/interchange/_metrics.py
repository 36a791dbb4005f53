"""Which scale a metric of another harness lies on: its log does not say."""

from __future__ import annotations

import math
from collections.abc import Iterable

from evalkit.interchange.imported import Unfit, Wanted

KNOWN = {"mcc": (-1.0, 1.0), "matthews_corrcoef": (-1.0, 1.0)}
OF_A_HUNDRED = ("bleu", "sacrebleu", "chrf", "rouge1", "rouge2", "rougeL", "rougeLsum")
UNBOUNDED = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "ter")


def scale(name: str, values: Iterable[float], wanted: Wanted) -> tuple[float, float]:
    """The bounds of a metric: what it is known for, [0, 1] if all lie there, or those given.

    Bounds that were given with the metric's name come first.  Raises Unfit naming the range
    found where none of these holds.
    """
    found = [value for value in values if math.isfinite(value)]
    low, high = (min(found), max(found)) if found else (0.0, 0.0)
    told = [] if name in UNBOUNDED else [KNOWN.get(name), (0.0, 1.0), _many(name)]
    given = wanted.bounds
    for bounds in [given] if given and wanted.metric else [*told, given]:
        if bounds and bounds[0] <= low and high <= bounds[1]:
            return bounds
    outside = f"outside {given[0]:g} to {given[1]:g}" if given else "and its scale is not known"
    raise Unfit(f"{name} runs from {low:g} to {high:g}, {outside}: give --bounds LOW HIGH")


def _many(name: str) -> tuple[float, float] | None:
    return (0.0, 100.0) if name in OF_A_HUNDRED else None
