"""How each checkpoint did by itself, in one task."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from pydantic import ValidationError

from evalkit.comparison import unpaired
from evalkit.comparison.arm import Arm
from evalkit.comparison.sides import Joined, Side, cells_of
from evalkit.errors import StoreError
from evalkit.grading.manner import averaged
from evalkit.reporting.cells import Found
from evalkit.stats.intervals import score_ci
from evalkit.stats.linear import linear
from evalkit.verdict import CheckpointScore, Manner


def score_of(found: Found) -> CheckpointScore:
    """Its score with its interval, how its samples ended, and what they took."""
    if isinstance(found.side, Side) and unpaired.bare(found.side.meta):
        return _bare_score(found, found.side)
    arm = _arm(found)
    score = arm.score if arm else None
    return CheckpointScore(
        checkpoint=found.checkpoint,
        task=found.task,
        domain=found.domain,
        n=len(arm.items) if arm else 0,
        epochs=arm.epochs if arm else 1,
        score=score,
        ci=_alone(arm, score) if arm and score is not None else None,
        outcomes=arm.outcomes if arm else {},
        metrics=_metrics(found),
        manner=_manner(found),
        **_tokens(found),
        cells=_cells(found),
        parts=[*found.side.parts] if isinstance(found.side, Joined) else [],
    )


def _metrics(found: Found) -> dict[str, float]:
    if not isinstance(found.side, Side):
        return {}
    return dict(found.side.meta.get("metrics", {}).get(found.side.preset, {}))


def _bare_score(found: Found, side: Side) -> CheckpointScore:
    whole = None
    with suppress(StoreError):  # the comparison says why
        whole = side.summary
    return CheckpointScore(
        checkpoint=found.checkpoint,
        task=found.task,
        domain=found.domain,
        n=whole.n if whole else 0,
        score=whole.score if whole else None,
    )


def _sides(found: Found) -> Sequence[Side]:
    """Its cells; of an exam in parts none, for what they took is told of each part."""
    return () if isinstance(found.side, Joined) else cells_of(found.side)


def _cells(found: Found) -> list[str]:
    """The folders of its cells, relative to the results."""
    paths = [side.cell.path for side in _sides(found)]
    return [f"{path.parent.name}/{path.name}" for path in paths]


def _tokens(found: Found) -> dict[str, int]:
    """What its answers took, where every cell of it has counted them."""
    counts = [side.meta.get("totals") or {} for side in _sides(found)]
    names = ("prompt_tokens", "completion_tokens")
    known = [name for name in names if counts and all(name in count for count in counts)]
    return {name: sum(int(count[name]) for count in counts) for name in known}


def _manner(found: Found) -> Manner | None:
    """How its answers read, where every cell of it tells."""
    told = [side.meta.get("manner") or {} for side in _sides(found)]
    if not told or not all(told):
        return None
    try:
        each = [Manner.model_validate(one) for one in told]
    except ValidationError:  # another's cell
        return None
    if len(each) == 1:
        return each[0]
    return Manner.model_validate(averaged([one.model_dump() for one in each]))


def _arm(found: Found) -> Arm | None:
    """A cell's scores; none where there are none, or none that can be read."""
    with suppress(StoreError):  # the comparison says why
        return found.side.arm if found.side else None
    return None


def _alone(arm: Arm, score: float) -> tuple[float, float] | None:
    """The interval of a score by itself; none where it has no two independent items."""
    known = arm.take(np.flatnonzero(~np.isnan(arm.means))) if arm.missing else arm
    weights = tuple(known.weights.values())
    moved = linear(known.means[None, :], known.clusters, known.strata, weights)[0]
    return score_ci(score, moved) if len(moved) > 1 else None
