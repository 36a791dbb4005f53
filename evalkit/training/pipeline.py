"""A matrix's pipeline: every stage's checkpoint made, and every checkpoint's identity told."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import TrainingError
from evalkit.events import Note, Notify
from evalkit.matrix import Matrix, Row
from evalkit.training import run_folder
from evalkit.training import stage as training
from evalkit.training.run_folder import Made, OnTheWay
from evalkit.types import REWARD_MODEL, Stage

if TYPE_CHECKING:
    from evalkit.contamination.learned import Learned

READ_AT_ONCE = 4


@dataclass(frozen=True)
class _Trained:
    """A stage whose checkpoint there is."""

    stage: Stage  # with its parent's folder
    made: Made
    base: str  # the parent's identity

    @property
    def run(self) -> Path:
        return self.made[0].parent


def trained(
    matrix: Matrix,
    results: Path,
    notify: Notify,
    only: tuple[str, ...] = (),
    *,
    make: bool = True,
) -> Matrix:
    """The matrix with every stage's checkpoint made; `only` some stages and what they build on.

    Where a stage says so, checkpoints that it saved on the way are rows of their own.  All data
    are looked over before anything is trained.  Without `make`, a stage that has not been trained
    is a TrainingError.
    """
    runs, needed = results / "runs", needed_for(matrix.stages, only)
    learned, notes = _overlaps(needed, matrix, runs, look=make) if needed else ({}, {})
    done: dict[str, _Trained] = {}
    for stage in needed:
        ready, base = _ready(matrix, stage, done)
        if make and notes[stage.name] and training.made(ready, base, runs) is None:
            notify(Note(f"warning: {'; '.join(notes[stage.name])}"))
        train = training.train if make else training.found
        done[stage.name] = _Trained(ready, train(ready, base, runs, notify), base)
    made = replace(
        matrix,
        rows=tuple(made for row in matrix.rows for made in _rows(row, done)),
        runs={name: each.run for name, each in done.items()},
        notes=tuple(note for stage in needed for note in notes[stage.name]),
        learned=learned,
    )
    return _judged_by(made, tuple(_final(row, done) for row in matrix.judges))


def needed_for(stages: Sequence[Stage], only: Sequence[str]) -> list[Stage]:
    """Some stages (all, if none is named) and those that they build on, in order."""
    wanted = set(only) or {stage.name for stage in stages}
    for stage in reversed(stages):
        if stage.name in wanted:
            wanted |= {stage.parent, stage.reward.removeprefix(REWARD_MODEL)}
    return [stage for stage in stages if stage.name in wanted]


def _overlaps(
    needed: Sequence[Stage], matrix: Matrix, runs: Path, *, look: bool
) -> tuple[dict[str, dict[str, Learned]], dict[str, list[str]]]:
    """What each stage would learn of each exam, and that in words."""
    from evalkit.contamination.learned import overlaps, words

    found = {stage.name: overlaps(stage, matrix.exams, runs, look=look) for stage in needed}
    return found, {name: words(name, each) for name, each in found.items()}


def _ready(matrix: Matrix, stage: Stage, done: dict[str, _Trained]) -> tuple[Stage, str]:
    """The stage with the folders of its parent and of its reward model; the parent's identity."""
    parent, identity = "", ""
    if stage.parent in done:
        parent, identity = str(done[stage.parent].made[0]), done[stage.parent].made[1]
    elif stage.parent:
        declared = _identify(matrix.row(stage.parent)).checkpoint
        parent, identity = declared.model, declared.identity
    scorer = stage.reward.removeprefix(REWARD_MODEL)
    reward = f"{REWARD_MODEL}{done[scorer].made[0]}" if scorer in done else stage.reward
    return replace(stage, parent=parent, reward=reward, lineage={"parent": stage.parent}), identity


def _rows(row: Row, done: dict[str, _Trained]) -> Iterator[Row]:
    """The row of a stage's checkpoint, after those of the ones on the way that are to be asked."""
    found = done.get(row.checkpoint.name)
    if found:
        for saved in _to_evaluate(found):
            checkpoint = replace(
                row.checkpoint,
                name=f"{row.checkpoint.name}@{saved.step}",
                model=str(saved.folder),
                identity=run_folder.identify(found.run, saved, found.base),
                stage=row.checkpoint.name,
                step=saved.step,
            )
            yield replace(row, checkpoint=checkpoint)
    yield _final(row, done)


def _final(row: Row, done: dict[str, _Trained]) -> Row:
    found = done.get(row.checkpoint.name)
    if not found:
        return row
    folder, identity = found.made
    checkpoint = replace(
        row.checkpoint,
        model=str(folder),
        identity=identity,
        stage=row.checkpoint.name,
        step=run_folder.steps(found.run),
    )
    return replace(row, checkpoint=checkpoint)


def _to_evaluate(found: _Trained) -> list[OnTheWay]:
    """Raises TrainingError where a step that is asked for was not saved."""
    wanted = found.stage.evaluate
    if wanted == "final":
        return []
    saved = run_folder.on_the_way(found.run)
    if isinstance(wanted, str):
        return saved
    last = run_folder.steps(found.run)
    known = [each.step for each in saved]
    missing = [step for step in wanted if step not in (*known, last)]
    if missing:
        there = ", ".join(map(str, known)) or "none"
        raise TrainingError(
            f"stage {found.stage.name} did not save step {missing[0]} (saved on the way: {there}): "
            f"take it out of `evaluate`, or remove {found.run} to train again"
        )
    return [each for each in saved if each.step in wanted]


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
