"""What a panel is asked: every view of every answer, by every judge, as often as configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.errors import EvalkitError
from evalkit.exams.exam import Exam
from evalkit.grading.grade import without_thoughts
from evalkit.identity import identity
from evalkit.judging import judgments
from evalkit.judging.hearing import FAILED, TIMEOUT, UNJUDGED, hear
from evalkit.judging.judgments import Judgment
from evalkit.judging.panel import Judge, Panel
from evalkit.storage.store import Cell
from evalkit.types import Opinion, Request, Response, Rubric, Sample, View

OTHER_SEED = 1_000  # between the seeds of two tries; repeats lie below


@dataclass(frozen=True, slots=True)
class Case:
    """One answer to be judged, as it was given but for its thoughts."""

    sample: Sample
    answer: Response
    other: Response | None = None  # what it is held against; None: what the rubric says


@dataclass(frozen=True, slots=True)
class Docket:
    """Answers to be judged, and the folder that keeps what is said of them."""

    exam: Exam
    folder: Path
    cases: Sequence[Case]
    repeats: int = 0  # how often each judge is asked; 0: as often as the panel says


@dataclass(frozen=True, slots=True)
class Question:
    """One view of one answer, put to one judge for the n-th time."""

    rubric: Rubric
    judge: Judge
    view: View
    repeat: int
    request: Request  # its epoch is the repeat
    tries: int
    known_by: tuple[str, str]  # the identities of the judge and of the request

    def key(self, attempt: int) -> str:
        """What its judgment is known by."""
        return judgments.key(*self.known_by, attempt)

    def attempt(self, number: int) -> Request:
        """The request of a try: the same question, under another seed."""
        return replace(self.request, seed=self.repeat + OTHER_SEED * number)

    def heard(self, known: Mapping[str, Judgment]) -> tuple[Opinion, str]:
        """The opinion of its first readable judgment, or why there is none; and the judgment."""
        found, key = Opinion(failure=UNJUDGED), self.key(0)
        for number in range(self.tries):
            judgment = known.get(self.key(number))
            if judgment is None:
                break
            found, key = hear(self.rubric, judgment), self.key(number)
            if found.value is not None or _to_be_had(found):
                break
        return found, key

    def due(self, known: Mapping[str, Judgment]) -> int | None:
        """The try that has to be asked next; None where nothing more is to be asked."""
        for number in range(self.tries):
            judgment = known.get(self.key(number))
            if judgment is None:
                return number
            found = hear(self.rubric, judgment)
            if found.value is not None:
                return None
            if _to_be_had(found):
                return number
        return None


def _to_be_had(found: Opinion) -> bool:
    """Whether the judge could not be reached, which says nothing of what it would say."""
    return found.failure in (TIMEOUT, FAILED)


def rubric_of(exam: Exam) -> Rubric:
    """The rubric of a judged task."""
    if exam.task.rubric is None:
        raise EvalkitError(f"{exam.label} is not judged: it has a scorer of its own")
    return exam.task.rubric


def of_cell(exam: Exam, cell: Cell) -> Docket:
    """Every answer that a cell holds of an exam's items."""
    answers = cell.answers()
    return Docket(
        exam,
        cell.path,
        [
            Case(exam.task.at(sample, epoch), without_thoughts(found.response))
            for item, sample in exam.items.items()
            for epoch in range(exam.task.epochs)
            if (found := answers.get((item, epoch))) and not found.response.error
        ],
    )


def every(panel: Panel, docket: Docket) -> Iterator[Question]:
    """Everything that a panel is asked about a docket."""
    asked = replace(panel, repeats=docket.repeats or panel.repeats)
    for case in docket.cases:
        yield from questions(asked, docket.exam, case)


def questions(panel: Panel, exam: Exam, case: Case) -> Iterator[Question]:
    """Everything that a panel is asked about one answer."""
    rubric, tries = rubric_of(exam), 1 + panel.retries
    judges = [(judge, judge.identity) for judge in panel.judges]
    for view in rubric.views(case.sample, case.answer, other_of(rubric, case)):
        for repeat in range(panel.repeats):
            asked = _request(panel, exam, case.sample, view, repeat)
            name = identity.request(asked).hex()
            for judge, who in judges:
                yield Question(rubric, judge, view, repeat, asked, tries, (who, name))


def other_of(rubric: Rubric, case: Case) -> Response:
    """The answer that a case's is held against; an empty one, where it is graded by itself."""
    if case.other is not None:
        return case.other
    return rubric.against(case.sample) if rubric.against else Response()


def _request(panel: Panel, exam: Exam, sample: Sample, view: View, repeat: int) -> Request:
    rubric = rubric_of(exam)
    return Request(
        view.prompt,
        panel.asked_by(rubric),
        exam.task,
        Sample(f"{sample.id} {view.name}", view.prompt),  # without the sample's own tools
        repeat,
        repeat,
        panel.top_logprobs(rubric),
        rubric.schema,
    )
