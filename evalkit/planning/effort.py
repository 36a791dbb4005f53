"""What a run still has to ask, and what that takes by the rates of runs before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.errors import DataError
from evalkit.exams.exam import ANY_ANSWER, OTHER, Exam
from evalkit.judging.panel import Panel
from evalkit.seat import Seat


@dataclass(frozen=True, slots=True)
class Effort:
    """One task over all checkpoints; None where no run before it tells."""

    requests: int  # answers due, of all checkpoints
    answered: int  # of those, in the results folder
    judgments: int  # requests to the judge, where one is needed
    prompt_tokens: int | None
    completion_tokens: int | None
    seconds: float | None
    most_tokens: int | None = None  # of completions, by `max_tokens`; None where none are written

    @property
    def missing(self) -> int:
        """Answers that have to be asked for."""
        return self.requests - self.answered


NOTHING = Effort(0, 0, 0, 0, 0, 0.0)


def effort(
    exam: Exam,
    n: int,
    seats: Sequence[Seat],
    unknown: int,
    past: Iterable[Mapping[str, Any]],
    panel: Panel | None = None,
    judging: int = 0,
) -> Effort:
    """The effort of one task: its seats, and so many checkpoints that are not there yet.

    `past` are the `cell.json` of the task's cells: their tokens and pace are what to expect;
    `judging`, what a panel has yet to be asked about the answers that are there.
    """
    due = n * exam.task.epochs
    cells = {seat.cell.path: seat for seat in seats}
    answered = sum(min(due, _answered(seat, due)) for seat in cells.values())
    requests = due * (len(cells) + unknown)
    prompt, completion, seconds = _rates(list(past))
    missing = requests - answered
    judged = views_of(exam) * len(panel.judges) * panel.repeats if panel else 0
    return Effort(
        requests,
        answered,
        missing * judged + judging,
        None if prompt is None else round(prompt * missing),
        None if completion is None else round(completion * missing),
        None if seconds is None else seconds * missing,
        exam.task.sampling.max_tokens * missing if exam.task.ask == "generate" else None,
    )


def views_of(exam: Exam) -> int:
    """How often one judge is asked about one answer; 0 where no judge grades."""
    rubric = exam.task.rubric
    if rubric is None:
        return 0
    try:
        return len(rubric.views(next(iter(exam.items.values())), ANY_ANSWER, OTHER))
    except DataError:  # its rows are not at hand
        return 2 if rubric.pairwise else 1


def _answered(seat: Seat, due: int) -> int:
    if seat.asked:
        return due
    items, epochs = seat.exam.items, seat.exam.task.epochs
    return sum(
        item in items and epoch < epochs and not answer.response.error
        for (item, epoch), answer in seat.cell.answers().items()
    )


def _rates(past: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None, float | None]:
    """Prompt tokens, completion tokens and seconds of one answer, over all that were given."""
    totals = [meta.get("totals") or {} for meta in past]
    paces = [meta.get("pace") or {} for meta in past]
    return (
        _per(totals, "prompt_tokens"),
        _per(totals, "completion_tokens"),
        _per(paces, "seconds"),
    )


def _per(counts: Sequence[Mapping[str, float]], name: str) -> float | None:
    answers = sum(each.get("answers", 0) for each in counts if name in each)
    return sum(each[name] for each in counts if name in each) / answers if answers else None
