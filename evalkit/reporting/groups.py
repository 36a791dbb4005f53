"""Numbers over a group of tasks, as the group's authors print them: for looking at only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from evalkit.comparison.sides import Side
from evalkit.reporting.cells import Found
from evalkit.types import Pool
from evalkit.verdict import CheckpointScore, GroupScore

_POOLS = TypeAdapter(tuple[Pool, ...])

Members = dict[str, tuple[float | None, int]]
"""Task -> its figure, None where it has no such, and its items."""


def group_scores(found: Sequence[Found], scores: Sequence[CheckpointScore]) -> list[GroupScore]:
    """Every number of every checkpoint of which all tasks are there; scores are the cells' own."""
    gathered: dict[tuple[str, Pool], Members] = {}
    for cell, score in zip(found, scores, strict=True):
        if isinstance(cell.side, Side):
            task = cell.side.meta["task"]  # under several presets it is one task
            for pool in pools_of(cell.side.meta, cell.side.preset):
                members = gathered.setdefault((cell.checkpoint, pool), {})
                members[task] = score.metrics.get(pool.metric), score.n
    return list(_whole(gathered))


def pools_of(meta: Mapping[str, Any], preset: str) -> tuple[Pool, ...]:
    """What `cell.json` tells of groups; nothing where somebody else wrote there."""
    try:
        return _POOLS.validate_python((meta.get("pools") or {}).get(preset, ()))
    except (AttributeError, ValidationError):
        return ()


def _whole(gathered: Mapping[tuple[str, Pool], Members]) -> Iterator[GroupScore]:
    for (checkpoint, pool), members in gathered.items():
        known = [(value, n) for value, n in members.values() if value is not None and n]
        if len(members) < pool.tasks or not known:
            continue
        weights = [n if pool.by_size else 1 for _, n in known]
        pairs = zip(known, weights, strict=True)
        yield GroupScore(
            checkpoint=checkpoint,
            group=pool.group,
            figure=pool.figure,
            value=sum(value * weight for (value, _), weight in pairs) / sum(weights),
            tasks=len(known),
            n=sum(n for _, n in known),
            by_size=pool.by_size,
        )
