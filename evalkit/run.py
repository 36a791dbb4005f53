"""A run of the matrix: train what is missing, ask what is missing, grade, compare.

Every step reads the store and adds to it, so that a run that was stopped at any point is simply
run again.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalkit import engine, identity, judge, plugins, training
from evalkit.errors import ConfigError, EvalkitError, ModelError
from evalkit.events import Note, Notify
from evalkit.exam import Exam
from evalkit.files import write_beside
from evalkit.grade import by_scorer, grade
from evalkit.judge import UNJUDGED, Judge
from evalkit.matrix import Matrix, Row
from evalkit.store import Cell, Store
from evalkit.types import Stage
from evalkit.verdict import JudgeNote


@dataclass(frozen=True)
class Seat:
    """One checkpoint at one exam, and the cell it fills."""

    row: Row
    exam: Exam
    cell: Cell


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
    seats = seating(matrix, Store(results))
    failures: list[str] = []
    for row in matrix.rows if ask else ():
        try:
            _ask(row, [seat for seat in seats if seat.row is row], notify)
        except ModelError as error:
            failures.append(str(error))
            notify(Note(f"error: {error}"))
    try:
        judges = _judge(matrix, seats, results, notify, ask=ask)
    except ModelError as error:
        failures.append(str(error))
        notify(Note(f"error: {error}"))
        judges = _judge(matrix, seats, results, notify, ask=False)
    _grade(matrix, seats)
    return Held(matrix, seats, judges, failures)


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
    needed = _needed(matrix.stages, only)
    checked = False
    for position, stage in enumerate(needed):
        parent, parent_identity = "", ""
        if stage.parent in made:
            parent, parent_identity = str(made[stage.parent][0]), made[stage.parent][1]
        elif stage.parent:
            declared = _identify(matrix.row(stage.parent)).checkpoint
            parent, parent_identity = declared.model, declared.identity
        ready = replace(stage, parent=parent)
        kept = training.made(ready, parent_identity, results / "runs")
        if kept is None and make and not checked:
            for later in needed[position:]:  # what cannot be run is told before time is spent
                _check(later)
            checked = True
        train = training.train if make else training.found
        made[stage.name] = kept or train(ready, parent_identity, results / "runs", notify)
    rows = tuple(_with_weights(row, made) for row in matrix.rows)
    return replace(
        matrix, rows=rows, judge=_with_weights(matrix.judge, made) if matrix.judge else None
    )


def _check(stage: Stage) -> None:
    try:
        plugins.trainer(stage.method).check(stage)
    except EvalkitError as error:
        raise ConfigError(f"stage {stage.name}: {error}") from None


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

    return replace(
        matrix,
        rows=tuple(told(row) for row in matrix.rows),
        judge=told(matrix.judge) if matrix.judge else None,
    )


def _identify(row: Row) -> Row:
    """An identity that cannot be told is new every time, so that no answer is reused by mistake."""
    checkpoint = row.checkpoint
    found = checkpoint.identity or row.backend.identify(checkpoint)
    return replace(
        row, checkpoint=replace(checkpoint, identity=found or f"unstated-{secrets.token_hex(8)}")
    )


def seating(matrix: Matrix, store: Store) -> list[Seat]:
    """Every checkpoint at every exam, with the cell that holds or will hold its answers."""
    cells: dict[tuple[str, str], Cell] = {}  # two names for one checkpoint share their cells

    def cell(row: Row, exam: Exam) -> Cell:
        key = identity.key(exam.task, row.checkpoint)
        found = store.cell(exam.task.name, row.checkpoint.name, key)
        return cells.setdefault((exam.task.name, key), found)

    return [Seat(row, exam, cell(row, exam)) for row in matrix.rows for exam in matrix.exams]


def _ask(row: Row, seats: list[Seat], notify: Notify) -> None:
    """Asks a checkpoint what is missing; presets that only grade otherwise share a cell."""
    missing: dict[Path, Seat] = {}
    for seat in seats:
        other = missing.get(seat.cell.path)
        if not _asked(seat) and (not other or other.exam.task.epochs < seat.exam.task.epochs):
            missing[seat.cell.path] = seat
    if not missing:
        return
    sittings = [engine.Sitting(seat.exam, seat.cell) for seat in missing.values()]
    for seat in missing.values():
        seat.cell.write_meta(**_described(seat), asked={}, scored={})
    engine.ask(row.backend, row.checkpoint, sittings, notify)
    for seat in missing.values():
        seat.cell.write_meta(asked=_asking(seat.exam), totals=_totals(seat))


def _asked(seat: Seat) -> bool:
    """Whether a cell holds every answer, told without reading a question."""
    meta = seat.cell.meta()
    asked = meta.get("asked") or {}
    due = _asking(seat.exam)
    limit = asked.get("limit")
    return bool(
        not seat.cell.journal_path.exists()
        and seat.cell.answers_path.exists()
        and asked.get("source") == due["source"]
        and asked.get("epochs", 0) >= due["epochs"]
        and (limit is None or (due["limit"] is not None and due["limit"] <= limit))
        and not meta.get("totals", {}).get("errors")
    )


def _asking(exam: Exam) -> dict[str, Any]:
    return {"source": exam.source, "limit": exam.limit, "epochs": exam.task.epochs}


def _described(seat: Seat) -> dict[str, Any]:
    checkpoint, task = seat.row.checkpoint, seat.exam.task
    return {
        "task": task.name,
        "domain": task.domain,
        "bounds": list(task.bounds),
        "higher_is_better": task.higher_is_better,
        "checkpoint": {
            name: value
            for name, value in asdict(checkpoint).items()
            if name not in ("options", "model")
        },
        "environment": dict(seat.row.backend.environment(checkpoint)),
    }


def _totals(seat: Seat) -> dict[str, int]:
    from evalkit.tables import read_table

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


def _judge(
    matrix: Matrix, seats: list[Seat], results: Path, notify: Notify, *, ask: bool
) -> list[JudgeNote]:
    """Has every judged answer judged that has not been, and the judge itself audited."""
    judged = [exam for exam in matrix.exams if exam.task.rubric]
    if not judged or matrix.judge is None:
        return []
    who = Judge(matrix.judge.checkpoint, matrix.judge.backend)
    unjudged = {
        (seat.exam.label, seat.cell.path): seat
        for seat in seats
        if seat.exam in judged and not _graded(seat, who) and seat.cell.answers_path.exists()
    }
    todo = [judge.of_cell(seat.exam, seat.cell) for seat in unjudged.values()] if ask else []
    audits = [(exam, judge.of_audit(exam, who, results)) for exam in judged]
    due = [a for exam, a in audits if a and _kept_note(a, exam) is None]
    if ask and (todo or due):
        notify(Note(f"judging by {who.checkpoint.name}"))
        judge.judge_all(who, [*todo, *due])
    return [_note(who, exam, audit) for exam, audit in audits if audit]


def _note(who: Judge, exam: Exam, audit: judge.Judging) -> JudgeNote:
    kept = _kept_note(audit, exam)
    if kept is None:
        kept = judge.audit(who, exam, audit)
        if kept.accuracy is not None:
            text = json.dumps({"source": exam.source, "note": kept.model_dump()}, indent=1)
            write_beside(audit.folder / "audit.json", text.encode())
    return kept.model_copy(update={"judge": who.checkpoint.name, "task": exam.label})


def _kept_note(audit: judge.Judging, exam: Exam) -> JudgeNote | None:
    with suppress(
        OSError, ValueError, TypeError, KeyError
    ):  # the judgments are kept: audited again at no cost
        kept = json.loads((audit.folder / "audit.json").read_bytes())
        return JudgeNote(**kept["note"]) if kept["source"] == exam.source else None
    return None


def _grade(matrix: Matrix, seats: list[Seat]) -> None:
    who = Judge(matrix.judge.checkpoint, matrix.judge.backend) if matrix.judge else None
    for seat in seats:
        exam, cell = seat.exam, seat.cell
        if not cell.answers_path.exists() or _graded(seat, who):
            continue
        if exam.task.rubric:
            if who is None:
                raise EvalkitError(f"{exam.label} is judged: name a judge in the config")
            outcomes = grade(exam, cell, judge.grader(who, exam, cell))
        else:
            outcomes = grade(exam, cell, by_scorer(exam.task))
        meta = cell.meta()
        sat = {**identity.exam(exam.task, _judge_id(exam, who)), "data": exam.data_digest}
        exams = {**meta.get("exams", {}), exam.task.preset: sat}
        scored = {**meta.get("scored", {}), exam.task.preset: _grading(seat, who)}
        counts = {**meta.get("outcomes", {}), exam.task.preset: outcomes}
        cell.write_meta(exams=exams, scored=scored, outcomes=counts)


def _graded(seat: Seat, who: Judge | None) -> bool:
    meta, preset = seat.cell.meta(), seat.exam.task.preset
    return bool(
        (meta.get("scored") or {}).get(preset) == _grading(seat, who)
        and UNJUDGED not in meta.get("outcomes", {}).get(preset, {})
        and seat.cell.scores_path(seat.exam.task.preset).exists()
    )


def _grading(seat: Seat, who: Judge | None) -> dict[str, Any]:
    return {**_asking(seat.exam), "judge": _judge_id(seat.exam, who)}


def _judge_id(exam: Exam, who: Judge | None) -> str:
    return who.identity if who and exam.task.rubric else ""
