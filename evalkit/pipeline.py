"""A matrix's pipeline: every stage's checkpoint made, and every checkpoint's identity told."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from evalkit import training
from evalkit.events import Notify
from evalkit.matrix import Matrix, Row
from evalkit.types import Stage

READ_AT_ONCE = 4


def trained(
    matrix: Matrix,
    results: Path,
    notify: Notify,
    only: tuple[str, ...] = (),
    *,
    make: bool = True,
) -> Matrix:
    """The matrix with every stage's checkpoint made; `only` some stages and what they build on.

    Without `make`, a stage that has not been trained is a TrainingError.
    """
    made: dict[str, tuple[Path, str]] = {}
    for stage in _needed(matrix.stages, only):
        parent, parent_identity = "", ""
        if stage.parent in made:
            parent, parent_identity = str(made[stage.parent][0]), made[stage.parent][1]
        elif stage.parent:
            declared = _identify(matrix.row(stage.parent)).checkpoint
            parent, parent_identity = declared.model, declared.identity
        ready = replace(stage, parent=parent)
        train = training.train if make else training.found
        made[stage.name] = train(ready, parent_identity, results / "runs", notify)
    rows = tuple(_with_weights(row, made) for row in matrix.rows)
    return _judged_by(
        replace(matrix, rows=rows), tuple(_with_weights(row, made) for row in matrix.judges)
    )


def _needed(stages: tuple[Stage, ...], only: tuple[str, ...]) -> list[Stage]:
    wanted = set(only) or {stage.name for stage in stages}
    for stage in reversed(stages):
        if stage.name in wanted:
            wanted.add(stage.parent)
    return [stage for stage in stages if stage.name in wanted]


def _with_weights(row: Row, made: dict[str, tuple[Path, str]]) -> Row:
    if row.checkpoint.name not in made:
        return row
    folder, found = made[row.checkpoint.name]
    return replace(row, checkpoint=replace(row.checkpoint, model=str(folder), identity=found))


def identified(matrix: Matrix) -> Matrix:
    """The matrix with every checkpoint's identity worked out, but for those yet to be trained."""
    awaited = {stage.name for stage in matrix.stages}

    def told(row: Row) -> Row:
        known = row.checkpoint.model or row.checkpoint.name not in awaited
        return _identify(row) if known else row

    with ThreadPoolExecutor(READ_AT_ONCE) as pool:  # the weights of several checkpoints at once
        rows = list(pool.map(told, [*matrix.rows, *matrix.judges]))
    count = len(matrix.rows)
    return _judged_by(replace(matrix, rows=tuple(rows[:count])), tuple(rows[count:]))


def _judged_by(matrix: Matrix, judges: tuple[Row, ...]) -> Matrix:
    """The matrix with other judges in the places of its own."""
    if not judges:
        return matrix
    jury = replace(matrix.jury, others=judges[1:])
    return replace(matrix, judge=judges[0], jury=jury)


def _identify(row: Row) -> Row:
    """An identity that cannot be told is new every time, so that no answer is reused by mistake."""
    checkpoint = row.checkpoint
    if checkpoint.identity:
        return row
    found = row.backend.identify(checkpoint)
    told = found or f"unstated-{secrets.token_hex(8)}"
    return replace(row, checkpoint=replace(checkpoint, identity=told, by_content=bool(found)))
