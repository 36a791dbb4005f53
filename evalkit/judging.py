"""Judging in a run: every judged answer that has no judgment yet, and the judge itself audited."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from evalkit import judge
from evalkit.events import Note, Notify
from evalkit.exam import Exam
from evalkit.files import write_beside
from evalkit.judge import Judge
from evalkit.matrix import Matrix
from evalkit.seat import Seat
from evalkit.verdict import JudgeNote


def judge_answers(
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
        if seat.exam in judged and not seat.graded(who) and seat.cell.answers_path.exists()
    }
    todo = [judge.of_cell(seat.exam, seat.cell) for seat in unjudged.values()] if ask else []
    audits = [(exam, judge.of_audit(exam, who, results)) for exam in judged]
    due = [a for exam, a in audits if a and _kept_note(a, exam) is None]
    if ask and (todo or due):
        notify(Note(f"judging by {who.checkpoint.name}"))
        judge.judge_all(who, [*todo, *due], results, notify)
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
