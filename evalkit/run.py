"""A run of the matrix: train what is missing, ask what is missing, grade, compare.

Every step reads the store and adds to it, so that a run that was stopped at any point is simply
run again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit import engine, identity
from evalkit.errors import EvalkitError, ModelError
from evalkit.events import Note, Notify
from evalkit.grade import Grader, by_scorer, grade
from evalkit.judging.grading import ByPanel, grader
from evalkit.judging.panel import Panel
from evalkit.judging.session import judge_answers, notes
from evalkit.matrix import Matrix, Row
from evalkit.pipeline import identified, trained
from evalkit.seat import Seat, seating
from evalkit.series import baseline
from evalkit.store import Store
from evalkit.tables import read_table
from evalkit.verdict import JudgeNote


@dataclass(frozen=True)
class Held:
    """What a run left behind: everything a report is made from."""

    matrix: Matrix  # with every checkpoint identified
    seats: list[Seat]
    judges: list[JudgeNote]
    failures: list[str]  # checkpoints that could not be asked, in words


def hold(matrix: Matrix, results: Path, notify: Notify, *, ask: bool = True) -> Held:
    """Trains, asks and grades whatever is missing in `results`; without `ask`, only grades.

    A checkpoint that cannot be asked does not keep the others waiting: it is reported as a
    failure, and its cells are invalid.
    """
    matrix = identified(trained(identified(matrix), results, notify, make=ask))
    baseline.check(matrix)
    seats = seating(matrix, Store(results))
    failures: list[str] = []
    for row in matrix.rows if ask else ():
        try:
            _ask(row, [seat for seat in seats if seat.row is row], notify)
        except ModelError as error:
            failures.append(str(error))
            notify(Note(f"error: {error}"))
    if ask:
        try:
            judge_answers(matrix, seats, results, notify)
        except ModelError as error:
            failures.append(str(error))
            notify(Note(f"error: {error}"))
    _grade(matrix, seats)
    remember(seats)
    return Held(matrix, seats, notes(matrix, seats, results), failures)


def _ask(row: Row, seats: list[Seat], notify: Notify) -> None:
    """Asks a checkpoint what is missing; presets that only grade otherwise share a cell."""
    missing: dict[Path, Seat] = {}
    for seat in seats:
        other = missing.get(seat.cell.path)
        if not seat.asked and (not other or other.exam.task.epochs < seat.exam.task.epochs):
            missing[seat.cell.path] = seat
    if not missing:
        return
    for seat in missing.values():
        seat.exam.check_prompts()
    sittings = [engine.Sitting(seat.exam, seat.cell) for seat in missing.values()]
    for seat in missing.values():
        seat.cell.write_meta(**seat.described(), asked={}, scored={})
    engine.ask(row.backend, row.checkpoint, sittings, notify)
    for seat, sitting in zip(missing.values(), sittings, strict=True):
        pace = {"answers": sitting.asked, "seconds": round(sitting.elapsed, 3)}
        kept = {"pace": pace} if sitting.asked else {}
        seat.cell.write_meta(asked=seat.asking, totals=totals(seat), **kept)


def totals(seat: Seat) -> dict[str, int]:
    """What `cell.json` counts of the answers."""
    columns = ["item", "epoch", "error", "prompt_tokens", "completion_tokens"]
    table = read_table(seat.cell.answers_path, columns)
    rows = zip(*(table.column(name).to_pylist() for name in columns[:3]), strict=True)
    due, epochs = seat.exam.items, seat.exam.task.epochs
    return {
        "answers": table.num_rows,
        "errors": sum(
            bool(error) and item in due and epoch < epochs for item, epoch, error in rows
        ),
        "prompt_tokens": sum(table.column("prompt_tokens").to_pylist()),
        "completion_tokens": sum(table.column("completion_tokens").to_pylist()),
    }


def remember(seats: list[Seat]) -> None:
    """Notes under which names a cell was used, and that it was used now.

    `evalkit compare` finds it by them; of two cells of one name it takes the one used last.
    """
    now = time.time_ns()  # the kernel's own stamps are some milliseconds apart
    for seat in seats:
        name, meta = seat.row.checkpoint.name, seat.cell.meta()
        if meta and name not in meta.get("names", ()):
            seat.cell.write_meta(names=sorted({*meta.get("names", ()), name}))
        with suppress(OSError):  # a folder that is only read is as good
            os.utime(seat.cell.path / "cell.json", ns=(now, now))


def _grade(matrix: Matrix, seats: list[Seat]) -> None:
    who = Panel.of(matrix)
    for seat in seats:
        exam, cell = seat.exam, seat.cell
        if not cell.answers_path.exists() or seat.graded(who):
            continue
        if not exam.task.rubric:
            grade_seat(seat, by_scorer(exam.task))
        elif who is None:
            raise EvalkitError(f"{exam.label} is judged: name a judge in the config")
        else:
            grade_seat(seat, grader(who, exam, cell), who)


def grade_seat(seat: Seat, grader: Grader, who: Panel | None = None) -> None:
    """Grades a cell, and notes in its `cell.json` that this was done."""
    exam, cell = seat.exam, seat.cell
    summary = grade(exam, cell, grader)
    meta, preset = cell.meta(), exam.task.preset
    judged = seat.judged_by(who)
    if isinstance(judged, dict):
        judged = {**judged, "prompts": exam.prompts_digest}
    noted: dict[str, Any] = {
        "exams": {**identity.exam(exam.task, judged), "data": exam.data_digest},
        "scored": seat.grading(who),
        "scales": {
            "bounds": list(exam.task.bounds),
            "higher_is_better": exam.task.higher_is_better,
        },
        "outcomes": dict(summary.outcomes),
        "metrics": dict(summary.metrics),
        **({"judging": grader.tally.as_json()} if isinstance(grader, ByPanel) else {}),
    }
    cell.write_meta(**{name: {**meta.get(name, {}), preset: kept} for name, kept in noted.items()})
