"""Judgments to scores: the opinions of all judges about an answer, put together.

A score is the weighted mean over the views of the answer; of a judge asked several times, the
mean over the times it could be read; of several judges, what the panel's rule makes of them.  An
answer on which a judge was not heard in every view is missing, never won or lost.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from evalkit.exams.exam import Exam
from evalkit.grading.grade import Grade, broken_off, without_thoughts
from evalkit.identity import identity
from evalkit.judging.hearing import UNHEARD
from evalkit.judging.judgments import Judgment, known
from evalkit.judging.ledger import Ledger
from evalkit.judging.panel import Judge, Panel
from evalkit.judging.questions import Case, Question, other_of, questions, rubric_of
from evalkit.judging.rubrics import forges
from evalkit.judging.tally import Tally
from evalkit.storage.store import Answer, Cell
from evalkit.types import Opinion, Rubric, Sample, Score, View


@dataclass(frozen=True, slots=True)
class Said:
    """One question with its opinion, and the judgment that it was read from."""

    question: Question
    opinion: Opinion
    key: str

    @property
    def view(self) -> str:
        """Which view of the answer it is about."""
        return self.question.view.name

    @property
    def grade(self) -> float | None:
        """What it says of the answer, whichever place it was shown in."""
        value = self.opinion.value
        if value is None or not self.question.view.turned:
            return value
        return sum(self.question.rubric.scale) - value


@dataclass(frozen=True)
class Heard:
    """Everything that is known of one answer."""

    rubric: Rubric
    panel: Panel
    said: tuple[Said, ...]

    def of(self, judge: Judge, repeat: int) -> float | None:
        """One judge's grade at one time; None where it was not heard in every view."""
        found = [
            (each.grade, each.opinion.weight)
            for each in self.said
            if each.question.judge == judge and each.question.repeat == repeat
        ]
        graded = [(grade, weight) for grade, weight in found if grade is not None]
        if not found or len(graded) < len(found):
            return None
        total = math.fsum(weight * grade for grade, weight in graded)
        return total / math.fsum(weight for _, weight in graded)

    def grades(self, judge: Judge) -> list[float]:
        """A judge's grades, of every time that it was heard in full."""
        times = sorted({each.question.repeat for each in self.said})
        return [grade for time in times if (grade := self.of(judge, time)) is not None]

    @property
    def grade(self) -> float | None:
        """The grade of the whole panel; None where a judge was never heard in full."""
        if not self.said:
            return fmean(self.rubric.scale)
        each = [self.grades(judge) for judge in self.panel.judges]
        if not all(each):
            return None
        return self.panel.together([fmean(grades) for grades in each], self.rubric.scale)

    @property
    def views(self) -> dict[str, float]:
        """Of each view the mean grade, whoever gave it."""
        found: dict[str, list[float]] = {}
        for each in self.said:
            if each.grade is not None:
                found.setdefault(each.view, []).append(each.grade)
        return {name: fmean(grades) for name, grades in found.items()}

    @property
    def failures(self) -> Counter[str]:
        """The opinions that could not be had, by class."""
        return Counter(each.opinion.failure for each in self.said if each.grade is None)

    @property
    def weight(self) -> float | None:
        """The mean weight of the opinions there are, for every view; None where there are none."""
        weights = [each.opinion.weight for each in self.said if each.grade is not None]
        return fmean(weights) * len({each.view for each in self.said}) if weights else None


def heard(panel: Panel, exam: Exam, case: Case, judged: Mapping[str, Judgment]) -> Heard:
    """Everything that is known of one answer."""
    found = tuple(Said(q, *q.heard(judged)) for q in questions(panel, exam, case))
    return Heard(rubric_of(exam), panel, found)


class ByPanel:
    """The grader that reads a cell's judgments, and counts what they show of the judges."""

    def __init__(self, panel: Panel, exam: Exam, judged: Mapping[str, Judgment]) -> None:
        self.panel, self.exam, self.judged = panel, exam, judged
        self.rubric = rubric_of(exam)
        self.ledger = Ledger(judged)
        self.tally = Tally(spent=self.ledger.spent)
        self._by = {
            "judges": [f"{judge.model} #{judge.identity}" for judge in panel.judges],
            "sampling": asdict(panel.asked_by(self.rubric)),
        }

    def __call__(self, sample: Sample, answer: Answer) -> Grade:
        """The grade of one answer, or why there is none."""
        case = Case(sample, without_thoughts(answer.response))
        if answer.response.error:
            other = other_of(self.rubric, case)
            noted = self.rubric.note(sample, other, other) if self.rubric.note else {}
            return Score(math.nan, None, noted), "errored"
        found = heard(self.panel, self.exam, case, self.judged)
        details = {**_details(found, case), "judged_by": self._by}
        for said in found.said:
            self.ledger.take(said.question)
        self.tally.add(details, found.grade)
        return self._graded(found, case, details)

    def _graded(self, found: Heard, case: Case, details: Mapping[str, Any]) -> Grade:
        grade, rubric = found.grade, self.rubric
        if grade is None:
            return Score(math.nan, None, details), _missing(found)
        label = outcome(rubric, grade)
        broken = broken_off(case.answer) if grade < fmean(rubric.scale) else ""
        said = label if rubric.pairwise else f"{grade:g}"
        return Score(grade, said, details), broken or label


def grader(panel: Panel, exam: Exam, cell: Cell) -> ByPanel:
    """The grader of a cell whose answers have been judged."""
    return ByPanel(panel, exam, known(cell.path))


def outcome(rubric: Rubric, grade: float) -> str:
    """What became of an answer: won, lost or a tie; by itself it is graded, or has full marks."""
    if not rubric.pairwise:
        return "correct" if grade == rubric.scale[1] else "graded"
    middle = fmean(rubric.scale)
    return "tie" if grade == middle else "win" if grade > middle else "loss"


def _missing(found: Heard) -> str:
    """The class of an answer without a grade: one that the next run can mend comes first."""
    classes = found.failures
    return min(classes, key=lambda name: (name not in UNHEARD, -classes[name], name))


def _details(found: Heard, case: Case) -> dict[str, Any]:
    """What a score's details tell; what every answer's would tell alike is left out."""
    rubric = found.rubric
    other = other_of(rubric, case)
    details: dict[str, Any] = {
        "views": found.views,
        "verdicts": [f"{each.view}: {each.opinion.label}" for each in found.said
                     if each.opinion.label],
        "judgments": [each.key for each in found.said],
        "prompt": template_hash([each.question.view for each in found.said]),
        "weight": found.weight,
        "grades": [found.grades(judge) for judge in found.panel.judges],
        "failed": dict(found.failures),
        "forged": forges(case.answer, {each.question.view.template for each in found.said}),
        **(rubric.note(case.sample, case.answer, other) if rubric.note else {}),
    }  # fmt: skip
    usual = {
        "weight": float(len(found.views)),
        "grades": [[found.grade]],
        "prompt": "",
        "forged": False,
    }
    return {
        name: kept
        for name, kept in details.items()
        if kept not in ({}, [], None) and kept != usual.get(name)
    }


def template_hash(views: Sequence[View]) -> str:
    """What a judge is told besides the question and the answers, as a hash."""
    templates = sorted({view.template for view in views})
    return identity.digest(templates).hex()[:16] if templates else ""
