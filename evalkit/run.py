"""A run of the matrix: train what is missing, ask what is missing, grade, compare.

Every step reads the store and adds to it, so that a run that was stopped at any point is simply
run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit import engine, identity, judge
from evalkit.errors import EvalkitError, ModelError, SandboxError
from evalkit.events import Note, Notify
from evalkit.grade import by_scorer, grade
from evalkit.grades import Grader
from evalkit.judge import Judge
from evalkit.judging import judge_answers
from evalkit.matrix import Matrix, Row
from evalkit.pipeline import identified, trained
from evalkit.sandbox import about
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
    try:
        judges = judge_answers(matrix, seats, results, notify, ask=ask)
    except ModelError as error:
        failures.append(str(error))
        notify(Note(f"error: {error}"))
        judges = judge_answers(matrix, seats, results, notify, ask=False)
    _grade(matrix, seats, notify)
    remember(seats)
    return Held(matrix, seats, judges, failures)


def _ask(row: Row, seats: list[Seat], notify: Notify) -> None:
    """Asks a checkpoint what is missing; presets that only grade otherwise share a cell."""
    missing: dict[Path, Seat] = {}
    for seat in seats:
        other = missing.get(seat.cell.path)
        if not seat.asked and (not other or other.exam.task.epochs < seat.exam.task.epochs):
            missing[seat.cell.path] = seat
    if not missing:
        return
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


def _grade(matrix: Matrix, seats: list[Seat], notify: Notify) -> None:
    who = Judge(matrix.judge.checkpoint, matrix.judge.backend) if matrix.judge else None
    due = [seat for seat in seats if seat.cell.answers_path.exists() and not seat.graded(who)]
    if any(seat.exam.task.runs_code for seat in due) and (said := about.note()):
        notify(Note(said))
    for seat in due:
        exam, cell = seat.exam, seat.cell
        if seat.graded(who):  # two names for one checkpoint share a cell
            continue
        if exam.task.runs_code:
            who_and_what = f"{seat.row.checkpoint.name} · {exam.label}"
            notify(Note(f"running the code of {who_and_what}"))
        if not exam.task.rubric:
            grade_seat(seat, by_scorer(exam.task))
        elif who is None:
            raise EvalkitError(f"{exam.label} is judged: name a judge in the config")
        else:
            grade_seat(seat, judge.grader(who, exam, cell), who)


def grade_seat(seat: Seat, grader: Grader, who: Judge | None = None) -> None:
    """Grades a cell, and notes in its `cell.json` that this was done."""
    exam, cell = seat.exam, seat.cell
    summary = grade(exam, cell, grader)
    meta = cell.meta()
    sat = {**identity.exam(exam.task, seat.judge_identity(who)), "data": exam.data_digest}
    exams = {**meta.get("exams", {}), exam.task.preset: sat}
    scored = {**meta.get("scored", {}), exam.task.preset: seat.grading(who)}
    counts = {**meta.get("outcomes", {}), exam.task.preset: dict(summary.outcomes)}
    figures = {**meta.get("metrics", {}), exam.task.preset: dict(summary.metrics)}
    ran = _where_code_ran(meta) if exam.task.runs_code else {}
    cell.write_meta(exams=exams, scored=scored, outcomes=counts, metrics=figures, **ran)


def _where_code_ran(meta: Mapping[str, Any]) -> dict[str, Any]:
    try:
        environment, reach = about.environment(), about.within_reach()
    except SandboxError:
        return {}
    return {"environment": {**meta.get("environment", {}), **environment}, "within_reach": reach}
