"""The noise floor: a checkpoint asked again, so that its answers can be held against themselves.

Where a cell has two answers per item or more, nothing is asked.  Else its second answers join the
cell as epoch 1: kept for good, and left out of every verdict until `epochs: 2` asks for them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.comparison.scores import load
from evalkit.errors import ModelError, UnknownName
from evalkit.events import Notify
from evalkit.exams.exam import Exam
from evalkit.matrix import Matrix
from evalkit.planning.repeats import note_of
from evalkit.run import hold
from evalkit.seat import Seat, seating
from evalkit.storage.store import Store
from evalkit.training.pipeline import identified, trained
from evalkit.verdict import NoiseNote

KEPT = ("asked", "totals", "manner", "pace")
"""What `cell.json` says of the run before, put back afterwards."""


def noise(
    matrix: Matrix, name: str, results: Path, notify: Notify, limit: int | None = None
) -> list[NoiseNote]:
    """Asks a checkpoint again what was asked once, and notes in its cells how far it agrees.

    Raises UnknownName for a checkpoint that is not in the matrix, TrainingError for one that has
    not been trained, ModelError for one that cannot be asked.
    """
    one = _alone(matrix, name, results, notify)
    before = {seat.cell.path: seat.cell.meta() for seat in seating(one, Store(results))}
    twice = replace(one, exams=tuple(_again(exam, limit) for exam in one.exams))
    held = hold(twice, results, notify)
    notes = [_note(seat, exam, name) for seat, exam in zip(held.seats, one.exams, strict=True)]
    for seat in held.seats:
        _put_back(seat, before[seat.cell.path])
    graded = [e for e, seat in zip(one.exams, held.seats, strict=True) if before[seat.cell.path]]
    if graded:  # as the file has it: a repeat changes no verdict
        hold(replace(one, exams=tuple(graded)), results, notify, ask=False)
    if held.failures:
        raise ModelError("; ".join(held.failures))
    return notes


def kept(seat: Seat) -> NoiseNote | None:
    """What was noted in a cell, if its questions are still those."""
    found = seat.cell.meta().get("noise", {}).get(seat.exam.task.preset)
    if not found or found["source"] != seat.exam.marking:
        return None
    note = NoiseNote.model_validate(found["note"])
    return note.model_copy(update={"checkpoint": seat.row.checkpoint.name, "task": seat.exam.label})


def _alone(matrix: Matrix, name: str, results: Path, notify: Notify) -> Matrix:
    """The matrix of that checkpoint only, with the judge, both trained already."""
    names = [row.checkpoint.name for row in matrix.rows]
    if name not in names:
        raise UnknownName("checkpoint", name, names)
    wanted = {name, *(row.checkpoint.name for row in matrix.judges)}
    staged = tuple(stage.name for stage in matrix.stages if stage.name in wanted)
    one = replace(matrix, baseline=name, rows=(matrix.row(name),))
    if not staged:
        return identified(replace(one, stages=()))
    made = trained(matrix, results, notify, staged, make=False)
    row = next(row for row in made.rows if row.checkpoint.name == name)
    return identified(replace(one, rows=(row,), judge=made.judge, jury=made.jury, stages=()))


def _again(exam: Exam, limit: int | None) -> Exam:
    task = replace(exam.task, epochs=max(2, exam.task.epochs))
    return replace(exam, task=task, limit=limit or exam.limit)


def _note(seat: Seat, exam: Exam, name: str) -> NoiseNote:
    cell, preset = seat.cell, exam.task.preset
    greedy = exam.task.sampling.temperature == 0
    if not cell.scores_path(preset).exists():
        return NoiseNote(task=exam.label, checkpoint=name, greedy=greedy)
    texts: dict[bytes, set[str]] = {}
    for (item, _), answer in cell.answers().items():
        if item in seat.exam and not answer.response.error:
            response = answer.response
            texts.setdefault(item, set()).add(f"{response.text}\0{response.tool_calls}")
    note = note_of(
        load(cell, cell.meta(), preset),
        texts,
        task=exam.label,
        checkpoint=name,
        greedy=greedy,
        epochs=exam.task.epochs,
    )
    if note.n:
        found = {"source": seat.exam.marking, "note": note.model_dump(mode="json")}
        cell.write_meta(noise={**cell.meta().get("noise", {}), preset: found})
    return note


def _put_back(seat: Seat, before: dict[str, Any]) -> None:
    """What was asked before was asked whole, whatever came of the repeats."""
    if before.get("asked"):
        seat.cell.write_meta(**{name: before[name] for name in KEPT if name in before})
