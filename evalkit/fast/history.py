"""What the store knows of an exam from other checkpoints: how hard its items are, what changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Arm, item_means
from evalkit.comparison.scores import load
from evalkit.errors import StoreError
from evalkit.matrix import Matrix
from evalkit.seat import Seat, seating
from evalkit.stats.distributions import FloatArray
from evalkit.stats.sequential import DISCORDANCE_PRIOR
from evalkit.storage.store import Cell, Store

LEAST_VARIANCE = 0.02
"""A transition that changed hardly anything does not promise that the next will not either."""
WHOLE = 0.99
FEWEST = 30  # units of which a variance can be told


def values_of(arm: Arm, items: Sequence[bytes]) -> FloatArray:
    """The scores of these items, a row each; NaN where there is none."""
    found = np.full((len(items), max(1, arm.epochs)), np.nan)
    row, there = _rows(arm, items)
    found[there] = arm.values[row[there]]
    return found


def rows_of(arm: Arm, items: Sequence[bytes]) -> NDArray[np.intp]:
    """Where those of these items that an arm has stand in it, in its own order."""
    row, there = _rows(arm, items)
    return np.sort(row[there])


def _rows(arm: Arm, items: Sequence[bytes]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    wanted = np.array(items, dtype="S16")
    row = np.searchsorted(arm.items, wanted)
    inside = row < len(arm.items)
    row = np.where(inside, row, 0)
    there = inside & (arm.items[row] == wanted) if len(arm.items) else inside
    return row, there


def earlier(store: Store, seat: Seat, items: Sequence[bytes], without: set[Path]) -> FloatArray:
    """The item scores of every other checkpoint that sat all of this exam, one a row."""
    rows = [
        scores
        for cell in store.cells()
        if cell.path not in without
        if (scores := _whole(cell, seat, items)) is not None
    ]
    return np.array(rows) if rows else np.empty((0, len(items)))


def last_change(
    store: Store, matrix: Matrix, seat: Seat, items: Sequence[bytes]
) -> FloatArray | None:
    """Each item's difference in the last step of this lineage that the store holds.

    The steps are those from a checkpoint to its parent, beginning with the candidate's parent;
    None where none was measured whole.
    """
    for name, parent in _steps(matrix, seat.row.checkpoint.name):
        seats = seating(matrix, store)
        found = {s.row.checkpoint.name: s for s in seats if s.exam is seat.exam}
        pair = [_whole(found[each].cell, seat, items) for each in (name, parent)]
        if pair[0] is not None and pair[1] is not None:
            return np.asarray(pair[0] - pair[1])
    return None


def variance(changes: FloatArray | None) -> float:
    """σ² of a unit's difference, as planning assumes it; 0.20 where nothing is known."""
    if changes is None or np.count_nonzero(~np.isnan(changes)) < FEWEST:
        return DISCORDANCE_PRIOR
    return max(float(np.nanvar(changes)), LEAST_VARIANCE)


def _steps(matrix: Matrix, candidate: str) -> Iterator[tuple[str, str]]:
    parents = {row.checkpoint.name: row.checkpoint.parent for row in matrix.rows}
    name, seen = parents[candidate] or matrix.baseline, {candidate}
    while name in parents and name not in seen and parents[name] in parents:
        yield name, parents[name]
        seen.add(name)
        name = parents[name]


def _whole(cell: Cell, seat: Seat, items: Sequence[bytes]) -> FloatArray | None:
    """A cell's item scores, if it holds (nearly) all of these items, graded by this very exam."""
    preset = seat.exam.task.preset
    meta = cell.meta()
    sat = meta.get("exams", {}).get(preset, {})
    if sat.get("task") != seat.exam.task.name or sat.get("data") != seat.exam.data_digest:
        return None
    if "only" in (meta.get("scored") or {}).get(preset, {}):
        return None
    with suppress(StoreError):
        scores = item_means(values_of(load(cell, meta, preset), items))
        if np.mean(~np.isnan(scores)) >= WHOLE:
            return scores
    return None
