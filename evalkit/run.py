"""A run of the matrix: train what is missing, ask what is missing, grade, compare.

Every step reads the store and adds to it, so that a run that was stopped at any point is simply
run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.asking import checkpoint as asking
from evalkit.contamination.manifests import with_manifests
from evalkit.errors import EvalkitError, ModelError, SandboxError
from evalkit.events import Note, Notify
from evalkit.executors import Work, execute, works
from evalkit.grading.cells import grade
from evalkit.grading.grade import Grader, by_scorer
from evalkit.grading.graders import Graders
from evalkit.identity import identity
from evalkit.judging.grading import ByPanel, grader
from evalkit.judging.panel import Panel
from evalkit.judging.session import judge_answers, notes
from evalkit.matrix import Matrix
from evalkit.processes.memory import trim
from evalkit.sandbox import about
from evalkit.seat import Seat, seating
from evalkit.series import baseline
from evalkit.storage.store import Store
from evalkit.training.pipeline import identified, trained
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
    matrix = with_manifests(matrix, results, look=ask)
    baseline.check(matrix)
    seats = seating(matrix, Store(results))
    _tell_of_the_sandbox(seats, notify)
    with ExitStack() as beside, Graders() as graders:

        def here(work: Work) -> None:
            asking.ask(work.seats, notify, graders, beside)

        todo = works(matrix.rows, seats) if ask else []
        failures = execute(matrix.execution, todo, results, notify, here)
        try:
            if ask:
                judge_answers(matrix, seats, results, notify)
        except ModelError as error:
            failures.append(str(error))
            notify(Note(f"error: {error}"))
        graders.join()
        beside.close()
        _grade(matrix, seats, graders)
    trim()  # the report needs room for the scores, and nothing of what asking needed
    remember(seats)
    return Held(matrix, seats, notes(matrix, seats, results), failures)


def remember(seats: list[Seat]) -> None:
    """Notes under which names a cell was used, and that it was used now.

    `evalkit compare` finds it by them; of two cells of one name it takes the one used last.
    """
    now = time.time_ns()  # the kernel's own stamps are some milliseconds apart
    for seat in seats:
        name, meta = seat.row.checkpoint.name, seat.cell.meta()
        if meta and name not in meta.get("names", ()):
            seat.cell.write_meta(names=sorted({*meta.get("names", ()), name}))
        if meta and seat.exam.task.pools:
            _remember_groups(seat, meta.get("pools") or {})
        with suppress(OSError):  # a folder that is only read is as good
            os.utime(seat.cell.path / "cell.json", ns=(now, now))


def _remember_groups(seat: Seat, known: Mapping[str, Any]) -> None:
    """Notes which numbers over groups a cell is part of, beside those of earlier runs."""
    task = seat.exam.task
    before, now = known.get(task.preset) or [], [asdict(pool) for pool in task.pools]
    if any(pool not in before for pool in now):
        groups = {pool["group"] for pool in now}
        others = [pool for pool in before if pool["group"] not in groups]
        seat.cell.write_meta(pools={**known, task.preset: [*others, *now]})


def _tell_of_the_sandbox(seats: list[Seat], notify: Notify) -> None:
    """What a user should know before model code is run, if any is going to be."""
    if any(seat.exam.task.runs_code and not seat.graded(None) for seat in seats):
        said = about.note()
        if said:
            notify(Note(said))


def _grade(matrix: Matrix, seats: list[Seat], graders: Graders) -> None:
    who = Panel.of(matrix)
    for seat in seats:
        exam, cell = seat.exam, seat.cell
        if not cell.answers_path.exists() or seat.graded(who):
            continue
        if exam.task.rubric and who is None:
            raise EvalkitError(f"{exam.label} is judged: name a judge in the config")
        with cell.lock():
            if exam.task.rubric and who:
                grade_seat(seat, grader(who, exam, cell), who)
            else:
                grade_seat(seat, by_scorer(exam.task), graders=graders)


def grade_seat(
    seat: Seat, grader: Grader, who: Panel | None = None, graders: Graders | None = None
) -> None:
    """Grades a cell, and notes in its `cell.json` that this was done."""
    exam, cell = seat.exam, seat.cell
    summary = grade(exam, cell, grader, seat.scorer, graders)
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
    kept = {name: {**meta.get(name, {}), preset: own} for name, own in noted.items()}
    ran = _where_code_ran(meta) if exam.task.runs_code else {}
    cell.write_meta(**kept, **ran)


def _where_code_ran(meta: Mapping[str, Any]) -> dict[str, Any]:
    try:
        environment, reach = about.environment(), about.within_reach()
    except SandboxError:
        return {}
    return {"environment": {**meta.get("environment", {}), **environment}, "within_reach": reach}
