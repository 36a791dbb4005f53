"""Battles between a user's own checkpoints: every pair of stored answers, judged side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError, StoreError
from evalkit.events import Notify
from evalkit.exams.exam import Exam
from evalkit.grading.grade import without_thoughts
from evalkit.judging import judgments
from evalkit.judging.asking import judge_all
from evalkit.judging.audits import folder_of
from evalkit.judging.grading import heard
from evalkit.judging.ledger import Account, spent_on
from evalkit.judging.panel import Panel
from evalkit.judging.questions import Case, Docket, rubric_of
from evalkit.judging.tally import side
from evalkit.seat import Seat
from evalkit.types import Opinion, Response

WINNERS = {1: "model_a", -1: "model_b", 0: "tie"}


@dataclass(frozen=True, slots=True)
class Bout:
    """Two checkpoints' answers to one question."""

    first: str
    second: str
    case: Case


def bouts(exam: Exam, seats: Sequence[Seat]) -> list[Bout]:
    """Every pair of checkpoints on every question that both have answered.

    Raises ConfigError where the task's answers are not judged in pairs, StoreError where a
    checkpoint has none.
    """
    if not rubric_of(exam).pairwise:
        raise ConfigError(
            f"{exam.label} grades answers one by one: take a rubric that compares two"
        )
    said = {seat.row.checkpoint.name: _answers(seat) for seat in seats}
    for name, answers in said.items():
        if not answers:
            raise StoreError(f"{name} has no answers to {exam.label}: run the matrix first")
    return [
        Bout(one, other, Case(exam.items[item], said[one][item], said[other][item]))
        for one, other in combinations(said, 2)
        for item in exam.items
        if item in said[one] and item in said[other]
    ]


def _answers(seat: Seat) -> dict[bytes, Response]:
    """A checkpoint's first answer to each item."""
    return {
        item: without_thoughts(answer.response)
        for (item, epoch), answer in seat.cell.answers().items()
        if epoch == 0 and not answer.response.error
    }


def fought(
    panel: Panel, exam: Exam, pairs: Sequence[Bout], results: Path, notify: Notify
) -> Iterator[dict[str, Any]]:
    """Has every bout judged, each in both orders; rows in the form that arenas publish."""
    docket = _docket(panel, exam, pairs, results)
    judge_all(panel, [docket], notify)
    judged = judgments.known(docket.folder)
    for bout in pairs:
        for opinion, grade, order in _verdicts(panel, exam, bout.case, judged):
            yield {
                "question_id": bout.case.sample.id,
                "model_a": bout.first,
                "model_b": bout.second,
                "winner": WINNERS[side(grade)],
                "weight": opinion.weight,
                "judge": panel.name,
                "task": exam.label,
                "order": order,
                "answer_a": _told(bout.case.answer),
                "answer_b": _told(bout.case.other or Response()),
            }


def spent(panel: Panel, exam: Exam, pairs: Sequence[Bout], results: Path) -> Account:
    """What judging these bouts took, in this run or in earlier ones."""
    docket = _docket(panel, exam, pairs, results)
    return spent_on(panel, [docket], judgments.known(docket.folder))


def _docket(panel: Panel, exam: Exam, pairs: Sequence[Bout], results: Path) -> Docket:
    return Docket(exam, folder_of(results, exam, panel), [bout.case for bout in pairs])


def _told(answer: Response) -> str | list[str]:
    """An answer's text; of one in several turns, each of them."""
    return list(answer.turns) if len(answer.turns) > 1 else answer.text


def _verdicts(
    panel: Panel, exam: Exam, case: Case, judged: Mapping[str, judgments.Judgment]
) -> Iterator[tuple[Opinion, float, str]]:
    found = heard(panel, exam, case, judged)
    if not found.said:  # the same text twice
        yield Opinion(0.5), 0.5, "same answer"
    for each in found.said:
        if each.grade is not None:
            yield each.opinion, each.grade, each.view
