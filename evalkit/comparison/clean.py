"""A difference on the items that no training data have anything of, beside that on all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from evalkit.comparison import fitted, paired, unpaired
from evalkit.comparison.sides import Side, Sides
from evalkit.errors import StoreError
from evalkit.stats.estimate import estimates
from evalkit.verdict import CandidateVerdict, CleanNote

if TYPE_CHECKING:
    from evalkit.matrix import Matrix


def dirty(matrix: Matrix, names: Iterable[str], task: str) -> frozenset[bytes]:
    """The items of a task that any of these checkpoints, or what it came of, has learned."""
    found: frozenset[bytes] = frozenset()
    for name in {each for start in names for each in _line(matrix, start)}:
        learned = matrix.learned.get(name, {}).get(task)
        found |= learned.items if learned else frozenset()
    return found


def _line(matrix: Matrix, name: str) -> Iterator[str]:
    """The checkpoints and stages that one came of, itself first; of a recipe, of all its seeds."""
    rows = {row.checkpoint.name: row.checkpoint for row in matrix.rows}
    todo, seen = list(matrix.recipes.get(name, (name,))), set[str]()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        yield at
        if at in rows:
            todo += [rows[at].stage, rows[at].parent]


def clean(sides: Sides, among: Collection[bytes], conf: float) -> CleanNote:
    """The difference without some items; raises StoreError where a cell cannot be read."""
    before, after = sides.baseline, sides.candidate
    bare = [each for each in (before, after) if isinstance(each, Side) and unpaired.bare(each.meta)]
    if not isinstance(before, Side) or not isinstance(after, Side) or bare:
        return CleanNote(touched=len(among), reason="averaged over seeds, or of bare scores")
    known = np.array([*among], before.arm.items.dtype)
    left = [np.flatnonzero(~np.isin(arm.items, known)) for arm in (before.arm, after.arm)]
    pair = paired.pair(before.arm.take(left[0]), after.arm.take(left[1]))
    learned = len(before.arm.items) - len(left[0])
    note = CleanNote(touched=learned, n=pair.n)
    if pair.invalid or fitted.wanted(before.meta):
        return note.model_copy(update={"reason": pair.invalid or "its headline is fitted"})
    found = estimates([paired.differences(pair)], conf)[0]
    return note.model_copy(
        update={
            "delta": found.delta,
            "ci": (found.lower, found.upper),
            "scores": _scores(pair),
        }
    )


def _scores(pair: paired.Pair) -> tuple[float, float] | None:
    before, after = pair.baseline.score, pair.candidate.score
    return None if before is None or after is None else (before, after)


def with_clean(
    found: CandidateVerdict, sides: Iterable[Sides], matrix: Matrix, conf: float
) -> CandidateVerdict:
    """The verdict on a candidate with what its cells are on the items that nobody has learned."""
    by_task = {each.task: each for each in sides}
    cells = []
    for cell in found.cells:
        among = dirty(matrix, (found.name, found.against), cell.task)
        if among and cell.task in by_task and cell.verdict != "invalid":
            try:
                note = clean(by_task[cell.task], among, conf)
            except StoreError:  # the cell itself says why
                note = None
            cell = cell.model_copy(update={"clean": note if note and note.touched else None})
        cells.append(cell)
    return found.model_copy(update={"cells": cells})
