"""Two cells of which at least one is a bare score, without its samples: compared unpaired.

Such a comparison is far less powerful than one of paired items, and it may never say that there
is no regression; it is flagged `unpaired`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.errors import StoreError

if TYPE_CHECKING:
    from evalkit.comparison.arm import Arm
    from evalkit.stats.cell import Estimate

AGGREGATE = "aggregate"
"""The key of `cell.json` under which a bare score stands."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One cell's score, oriented to [0, 1], with what it is known by."""

    score: float
    se: float | None  # None: not known, or given as 0, which no sample of a score can be
    n: int
    native: tuple[float, float, bool]  # the task's bounds, and whether higher is better


def bare(meta: Mapping[str, Any]) -> bool:
    """Whether a cell is a bare score."""
    return AGGREGATE in meta


def published(meta: Mapping[str, Any]) -> Summary:
    """A bare score as its `cell.json` has it; raises StoreError where that is not one."""
    low, high = meta.get("bounds", (0.0, 1.0))
    whole = meta[AGGREGATE]
    try:
        score, stderr, n = float(whole["score"]), whole["stderr"], int(whole["n"])
        share = (score - low) / (high - low)
        se = float(stderr) / (high - low) if stderr else None
    except (TypeError, KeyError, ValueError, ZeroDivisionError):
        raise StoreError("its bare score is not one: import it again") from None
    if not -1e-9 <= share <= 1 + 1e-9 or n < 2 or (se is not None and not 0 < se < math.inf):
        raise StoreError(f"its bare score {score:g} of {n} is not one: import it again")
    share = min(max(share, 0.0), 1.0)
    higher = bool(meta.get("higher_is_better", True))
    return Summary(share if higher else 1 - share, se, n, (low, high, higher))


def summary(arm: Arm) -> Summary:
    """The score of a cell that has its samples, SE = s/√n for its clusters and strata."""
    from evalkit.stats.linear import linear

    known = arm.take(np.flatnonzero(~np.isnan(arm.means)))
    score, n = known.headline(known.means), len(known.items)
    if n < 2 or score is None:
        raise StoreError(f"{n} items were answered; it takes two, and some of each stratum")
    weights = tuple(known.weights.values())
    moved = linear(known.means[None, :], known.clusters, known.strata, weights)[0]
    se = float(moved.std(ddof=1)) / math.sqrt(len(moved)) if len(moved) > 1 else 0.0
    return Summary(score, se or None, n, arm.native)


def difference(baseline: Summary, candidate: Summary) -> Estimate:
    """Candidate − baseline; where no SE is known, that of a share of n, the largest it can be."""
    from evalkit.stats.designs import unpaired

    return unpaired(
        baseline.score,
        candidate.score,
        baseline.n,
        candidate.n,
        se0=baseline.se,
        se1=candidate.se,
    )
