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

from evalkit import identity
from evalkit.exam import Exam
from evalkit.grade import Grade, broken_off, without_thoughts
from evalkit.judging.hearing import UNHEARD
from evalkit.judging.judgments import Judgment, known
from evalkit.judging.panel import Judge, Panel
from evalkit.judging.questions import Case, Question, other_of, questions, rubric_of
from evalkit.judging.tally import Spent, Tally
from evalkit.store import Answer, Cell
from evalkit.types import Opinion, Rubric, Sample, Score, View


@dataclass(frozen=True)
class Heard:
    """Everything that is known of one answer: each question with its opinion."""

    rubric: Rubric
    panel: Panel
    opinions: tuple[tuple[Question, Opinion], ...]

    def of(self, judge: Judge, repeat: int) -> float | None:
        """One judge's grade at one time; None where it was not heard in every view."""
        found = [o for q, o in self.opinions if q.judge == judge and q.repeat == repeat]
        turned = [q.view for q, _ in self.opinions if q.judge == judge and q.repeat == repeat]
        values = [value(self.rubric, v, o) for v, o in zip(turned, found, strict=True)]
        if not values or any(each is None for each in values):
            return None
        weights = [opinion.weight for opinion in found]
        total = math.fsum(w * (v or 0.0) for v, w in zip(values, weights, strict=True))
        return total / math.fsum(weights)

    def grades(self, judge: Judge) -> list[float]:
        """A judge's grades, of every time that it was heard in full."""
        times = sorted({q.repeat for q, _ in self.opinions if q.judge == judge})
        return [grade for time in times if (grade := self.of(judge, time)) is not None]

    @property
    def grade(self) -> float | None:
        """The grade of the whole panel; None where a judge was never heard in full."""
        if not self.opinions:
            return fmean(self.rubric.scale)
        each = [self.grades(judge) for judge in self.panel.judges]
        if not all(each):
            return None
        return self.panel.together([fmean(grades) for grades in each], self.rubric.scale)

    @property
    def views(self) -> dict[str, float]:
        """Of each view the mean grade, whoever gave it."""
        found: dict[str, list[float]] = {}
        for question, opinion in self.opinions:
            known_value = value(self.rubric, question.view, opinion)
            if known_value is not None:
                found.setdefault(question.view.name, []).append(known_value)
        return {name: fmean(values) for name, values in found.items()}

    @property
    def failures(self) -> Counter[str]:
        """The opinions that could not be had, by class."""
        return Counter(o.failure for _, o in self.opinions if o.value is None)

    @property
    def weight(self) -> float:
        """The mean weight of an answer's opinions, summed over its views."""
        weights = [opinion.weight for _, opinion in self.opinions if opinion.value is not None]
        return fmean(weights) * len({q.view.name for q, _ in self.opinions}) if weights else 1.0


def value(rubric: Rubric, view: View, opinion: Opinion) -> float | None:
    """What an opinion says of the answer, whichever place it was shown in."""
    if opinion.value is None:
        return None
    return sum(rubric.scale) - opinion.value if view.turned else opinion.value


def heard(panel: Panel, exam: Exam, case: Case, judged: Mapping[str, Judgment]) -> Heard:
    """Everything that is known of one answer."""
    found = tuple((q, q.opinion(judged)) for q in questions(panel, exam, case))
    return Heard(rubric_of(exam), panel, found)


class ByPanel:
    """The grader that reads a cell's judgments, and counts what they show of the judges."""

    def __init__(self, panel: Panel, exam: Exam, judged: Mapping[str, Judgment]) -> None:
        self.panel, self.exam, self.judged = panel, exam, judged
        self.rubric = rubric_of(exam)
        self.tally = Tally()
        self._counted: set[str] = set()
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
        self._count(found)
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

    def _count(self, found: Heard) -> None:
        """What was asked about an answer; the same question about another counts once."""
        for question, _ in found.opinions:
            for key in map(question.key, range(question.tries)):
                if key in self.judged and key not in self._counted:
                    self._counted.add(key)
                    spent = self.tally.spent.setdefault(question.judge.model, Spent())
                    spent.add(self.judged[key])


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
    rubric, asked = found.rubric, found.opinions
    said = [(q, o) for q, o in asked if o.label]
    other = other_of(rubric, case)
    noted = dict(rubric.note(case.sample, case.answer, other)) if rubric.note else {}
    details: dict[str, Any] = {
        "views": found.views,
        "verdicts": [f"{q.view.name}: {o.label}" for q, o in said],
        "judgments": [q.key(0) for q, _ in asked],
        "prompt": template_hash([q.view for q, _ in asked]),
        "weight": found.weight,
        "grades": [found.grades(judge) for judge in found.panel.judges],
        "failed": dict(found.failures),
        **noted,
    }
    usual: dict[str, Any] = {"weight": float(len(found.views)), "grades": [[found.grade]]}
    return {
        name: kept
        for name, kept in details.items()
        if kept not in ({}, [], None) and kept != usual.get(name)
    }


def template_hash(views: Sequence[View]) -> str:
    """What a judge is told besides the question and the answers, as a hash."""
    templates = sorted({view.template for view in views})
    return identity.digest(templates).hex()[:16] if templates else ""
