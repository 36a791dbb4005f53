"""Judging in a run: every answer that has no judgment yet, and the judges themselves audited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.events import Note, Notify
from evalkit.exams.exam import Exam
from evalkit.judging.asking import judge_all, outstanding
from evalkit.judging.audits import LabelAudit
from evalkit.judging.costs import cost_of
from evalkit.judging.ledger import added, read
from evalkit.judging.null_answers import kept_wins, note_null_wins, null_dockets
from evalkit.judging.panel import Panel
from evalkit.judging.questions import of_cell, rubric_of
from evalkit.judging.repeats import RepeatAudit
from evalkit.judging.tally import Tally, together
from evalkit.matrix import Matrix
from evalkit.seat import Seat, seating
from evalkit.storage.store import Store
from evalkit.verdict import JudgeNote

MIN_ACCURACY = 0.80
"""Below this agreement with held-out labels a judge is advisory."""

MAX_FLIP_RATE = 0.25
"""Above this share of verdicts that turn with the order a judge is unstable."""

FOOLED = 0.10
"""A null answer that earns more than this of full marks fools the judge."""


def judge_answers(matrix: Matrix, seats: Sequence[Seat], results: Path, notify: Notify) -> None:
    """Has every judged answer judged that has not been, and the judges themselves audited.

    Seats may be cut down to some of their items, as looks of a fast gate are.  Raises ModelError
    where a judge cannot be asked; what it has said is kept.
    """
    panel = Panel.of(matrix)
    exams = {seat.exam.label: seat.exam for seat in seats if seat.exam.task.rubric}
    if panel is None or not exams:
        return
    judged = [seat for seat in seats if seat.exam.task.rubric]
    todo = {
        (seat.exam.label, seat.cell.path): seat
        for seat in judged
        if not seat.graded(panel) and seat.cell.answers_path.exists()
    }
    audits = [LabelAudit(matrix, exam, panel, results) for exam in exams.values()]
    due = [audit for audit in audits if audit.wanted and audit.kept() is None]
    again = [RepeatAudit(seat, panel) for seat in judged if _is_baseline(matrix, seat)]
    again = [audit for audit in again if audit.due]
    if not (todo or due or again):
        return
    notify(Note(f"judging by {panel.name}"))
    dockets = [of_cell(seat.exam, seat.cell) for seat in todo.values()]
    dockets += [audit.docket() for audit in due]
    judge_all(panel, [*dockets, *(audit.docket() for audit in again)], notify)
    for audit in again:
        audit.note()


def _graded_by(panel: Panel, seat: Seat) -> bool:
    """Whether a cell's grades are this panel's, all of them or those that could be had."""
    scored = seat.cell.meta().get("scored", {}).get(seat.exam.task.preset) or {}
    return bool(scored.get("judge") == seat.judged_by(panel))


def _is_baseline(matrix: Matrix, seat: Seat) -> bool:
    return seat.row.checkpoint.name == matrix.baseline


def audited(matrix: Matrix, tasks: Sequence[str], results: Path, notify: Notify) -> list[JudgeNote]:
    """Audits the panel on some tasks in every way there is, null answers included."""
    panel = Panel.of(matrix)
    if panel is None:
        return []
    exams = [exam for exam in matrix.exams if exam.label in tasks]
    seats = [seat for seat in seating(matrix, Store(results)) if seat.exam in exams]
    labels = [LabelAudit(matrix, exam, panel, results) for exam in exams]
    again = [RepeatAudit(seat, panel) for seat in seats if _is_baseline(matrix, seat)]
    again = [audit for audit in again if audit.due]
    nulls = [docket for exam in exams for docket in null_dockets(exam, panel, results)]
    due = [audit.docket() for audit in labels if audit.wanted]
    judge_all(panel, [*due, *nulls, *(audit.docket() for audit in again)], notify)
    for audit in again:
        audit.note()
    for exam in exams:
        note_null_wins(exam, panel, results)
    return [note for note in notes(matrix, seats, results) if note.task in tasks]


def questions_due(matrix: Matrix, exam: Exam, seats: Sequence[Seat], results: Path) -> int:
    """What judges have yet to be asked about an exam's stored answers, and to be audited on it."""
    panel = Panel.of(matrix)
    if panel is None or not exam.task.rubric:
        return 0
    stored = {seat.cell.path: seat for seat in seats if seat.cell.answers_path.exists()}
    dockets = [of_cell(exam, s.cell) for s in stored.values() if not s.graded(panel)]
    labels = LabelAudit(matrix, exam, panel, results)
    if labels.wanted and labels.kept() is None:
        dockets.append(labels.docket())
    again = [RepeatAudit(seat, panel) for seat in seats if _is_baseline(matrix, seat)]
    dockets += [audit.docket() for audit in again if audit.due]
    return len(set().union(*(outstanding(panel, docket) for docket in dockets)))


def notes(matrix: Matrix, seats: Sequence[Seat], results: Path) -> list[JudgeNote]:
    """How far the panel may be trusted, a note for each judged task."""
    panel = Panel.of(matrix)
    if panel is None:
        return []
    exams = {exam.label: exam for exam in matrix.exams if exam.task.rubric}
    return [
        _note(matrix, exam, panel, [seat for seat in seats if seat.exam is exam], results)
        for exam in exams.values()
    ]


def _note(
    matrix: Matrix, exam: Exam, panel: Panel, seats: Sequence[Seat], results: Path
) -> JudgeNote:
    audit = LabelAudit(matrix, exam, panel, results)
    found = audit.found() if audit.wanted else {}
    cells = {seat.cell.path: seat for seat in seats if _graded_by(panel, seat)}
    tally = together([tally_of(seat) for seat in cells.values()])
    again = [RepeatAudit(s, panel) for s in cells.values() if _is_baseline(matrix, s)]
    wins, on_nulls = kept_wins(results, exam, panel)
    spent = [read(found.pop("spent", {})), on_nulls, *(audit.spent for audit in again)]
    flags = [*found.pop("flags", ())]
    note = JudgeNote(
        task=exam.label,
        judge=panel.name,
        identity=panel.described(rubric_of(exam))["judges"],
        prompts=_prompts(cells.values(), exam.task.preset),
        answers=tally.answers,
        turned=_share(tally.turned, tally.both),
        first_wins=_share(tally.first, tally.decided),
        longer_wins=_share(tally.longer, tally.compared),
        length_correlation=tally.correlation,
        self_agreement=next(filter(None, (audit.found() for audit in again)), None),
        null_wins=wins,
        forged=tally.forged,
        failures=dict(sorted(tally.failures.items())),
        cost=cost_of(tally.spent, matrix.prices),
        audits=cost_of(added(spent), matrix.prices),
        **found,
    )
    return _judged(note, flags, rubric_of(exam).scale)


def _judged(note: JudgeNote, flags: list[str], scale: tuple[float, float]) -> JudgeNote:
    """The note with its flags, and whether the judge is too weak to decide anything."""
    inaccurate = note.accuracy is not None and note.accuracy < MIN_ACCURACY
    unsure = note.flip_rate is not None and note.flip_rate > MAX_FLIP_RATE
    turning = note.turned is not None and note.turned > MAX_FLIP_RATE
    signs = {
        "judge_inaccurate": inaccurate,
        "judge_unstable": unsure or turning,
        "judge_fooled": any(_share_of(grade, scale) > FOOLED for grade in note.null_wins.values()),
    }
    flags += [name for name, seen in signs.items() if seen]
    advisory = note.advisory or inaccurate or unsure
    return note.model_copy(update={"flags": flags, "advisory": advisory})


def tally_of(seat: Seat) -> Tally:
    """What a graded cell's judgments show."""
    kept: Any = seat.cell.meta().get("judging", {}).get(seat.exam.task.preset)
    return Tally.of(kept) if kept else Tally()


def _prompts(seats: Any, preset: str) -> str:
    for seat in seats:
        judge = seat.cell.meta().get("exams", {}).get(preset, {}).get("judge")
        if isinstance(judge, dict):
            return str(judge.get("prompts", ""))
    return ""


def _share(count: float, of: float) -> float | None:
    return count / of if of else None


def _share_of(grade: float, scale: tuple[float, float]) -> float:
    low, high = scale
    return (grade - low) / (high - low)
