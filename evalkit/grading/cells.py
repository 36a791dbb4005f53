"""Grading a cell: every answer once, beside the asking or after it, and the grades sealed.

    scores.jsonl     grades as they come, each with the answer and the scorer it is of
    scores.parquet   every grade, once all are there

What a costly scorer found is kept in `scores.jsonl` for good, so that it is not found twice.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import StoreError
from evalkit.exams.exam import Exam
from evalkit.grading.budget import CODE_SECONDS, Budgeted
from evalkit.grading.grade import Grade, Grader, one
from evalkit.grading.graders import Graders
from evalkit.grading.grades import Seek, checked, gives_way, holds, line, score_of
from evalkit.grading.process import Job
from evalkit.grading.several import Several
from evalkit.storage.answer import Answer, answer_of
from evalkit.storage.journal import Journal
from evalkit.storage.spilled import Spilled
from evalkit.storage.standing import Row, key, lines, place_of, standing
from evalkit.storage.store import Cell
from evalkit.storage.tables import SCORE_COLUMNS, write_table
from evalkit.types import Graded, Sample, Score


@dataclass(frozen=True, slots=True)
class Summary:
    """What grading a cell came to: how its samples ended, and the task's own figures."""

    outcomes: Mapping[str, int]
    metrics: Mapping[str, float] = field(default_factory=dict)


class Grading:
    """The grades of one cell under one scorer, kept as they come.

    `scorer` says what grades: grades of the same one, of the same answers, are found again.
    """

    def __init__(
        self, exam: Exam, cell: Cell, grader: Grader, scorer: str, graders: Graders
    ) -> None:
        self.exam, self.cell, self.grader, self.scorer = exam, cell, grader, scorer
        self.graders = graders
        self.outcomes: Counter[str] = Counter()
        if exam.task.runs_code:
            self.grader = Budgeted(grader, CODE_SECONDS * (10 + len(exam.due) * exam.task.epochs))
        self._path = cell.grades_path(exam.task.preset)
        self._journal: Journal | None = None
        self._lock = threading.Lock()

    def take(self, sample: Sample, answer: Answer) -> None:
        """Has an answer that has just come graded soon, beside the asking."""
        if not answer.response.error:
            keep = self._keeper(answer.item, sample, answer.epoch, answer)
            task = self.exam.task
            kept = keep if task.slow else _sure(keep)
            self.graders.offer(Job(self.grader, sample, answer, kept, task.runs_code), task.slow)

    def close(self) -> None:
        """Lets go of the journal."""
        if self._journal:
            self._journal.close()
            self._journal = None

    def _keeper(
        self, item: bytes, sample: Sample, epoch: int, answer: Answer | None
    ) -> Callable[[Grade], None]:
        """What keeps the grade of one answer, whichever thread it comes from."""
        of = {"request": answer.request.hex() if answer else "", "scorer": self.scorer}

        def keep(grade: Grade) -> None:
            row = line(item, sample, epoch, grade) | of
            with self._lock:
                if self._journal is None:
                    self._journal = Journal(self._path, durable=False)
                self._journal.append(row)
                self.outcomes[grade[1]] += 1

        return keep

    def complete(self) -> None:
        """Grades every sample due that has no grade of this scorer yet."""
        lacking = self._lacking()
        if lacking.any():
            answers = self._answers(lacking)
            for item, original in self.exam.among(np.any(lacking, axis=1)):
                for epoch in np.flatnonzero(lacking[self.exam.place(item)]).tolist():
                    sample = self.exam.task.at(original, epoch)
                    self._grade(item, sample, epoch, answers.of(key(item, epoch)))
        self.graders.join()
        self.close()

    def _grade(self, item: bytes, sample: Sample, epoch: int, answer: Answer | None) -> None:
        keep, task = self._keeper(item, sample, epoch, answer), self.exam.task
        if task.slow:
            self.graders.put(Job(self.grader, sample, answer, keep, task.runs_code))
        else:
            keep(one(self.grader, sample, answer))

    def _answers(self, lacking: NDArray[np.bool_]) -> Seek[Answer] | Spilled:
        """The answers, to be had in the order in which questions come."""
        if self.exam.in_order:
            return Seek(map(answer_of, self.cell.rows()))
        places = ((row, self.exam.place(row["item"])) for row in self.cell.rows())
        epochs = self.exam.task.epochs
        return Spilled(
            answer_of(row)
            for row, place in places
            if place >= 0 and row["epoch"] < epochs and lacking[place, row["epoch"]]
        )

    def _lacking(self) -> NDArray[np.bool_]:
        """Which samples due, by item and epoch, have no grade that still holds."""
        lacking = np.ones((len(self.exam.due), self.exam.task.epochs), dtype=bool)
        if not self.scorer:
            self._path.unlink(missing_ok=True)
        if self._path.exists():
            kept = ["item", "epoch", "request", "error"]
            answers = Seek(self.cell.rows(kept))
            for place, row in self._rows():
                lacking[place] = not holds(row, answers.of(place_of(row)))
        return lacking

    def _rows(self) -> Iterator[tuple[tuple[int, int], Row]]:
        """The grades of this scorer, in order, each with its place by item and epoch."""
        for row in standing(None, lines(self._path, checked), gives_way):
            item, epoch = bytes.fromhex(row["item"]), row["epoch"]
            if row["scorer"] == self.scorer and epoch < self.exam.task.epochs:
                place = self.exam.place(item)
                if place >= 0:
                    yield (place, epoch), row

    def seal(self) -> Summary:
        """Writes the grades of all samples due as a table."""
        outcomes: Counter[str] = Counter()
        scores: dict[bytes, list[Score | None]] = {}
        several, again = Several.of(self.exam.task), self.exam.again

        def rows() -> Iterator[Row]:
            for _, row in self._rows():
                item = bytes.fromhex(row["item"])
                outcomes[row["outcome"]] += 1
                several.take(item, row["value"], row["answer"])
                if self.exam.task.metrics:
                    scores.setdefault(item, []).append(score_of(row))
                value = math.nan if row["value"] is None else row["value"]
                cluster = row["cluster"] or again.get(item, "")
                yield {**row, "item": item, "value": value, "cluster": cluster}
            if outcomes.total() != len(self.exam.due) * self.exam.task.epochs:
                raise StoreError(f"{self._path}: grades were lost on the way: run again")

        write_table(self.cell.scores_path(self.exam.task.preset), rows(), SCORE_COLUMNS)
        if not self.exam.task.slow:
            self._path.unlink()
        found = several.figures() | _metrics(self.exam, scores)
        return Summary(dict(sorted(outcomes.items())), found)


def grade(
    exam: Exam, cell: Cell, grader: Grader, scorer: str = "", graders: Graders | None = None
) -> Summary:
    """Writes the scores of a cell, one row for each sample due."""
    with ExitStack() as stack:
        hands = graders or stack.enter_context(Graders())
        grading = Grading(exam, cell, grader, scorer, hands)
        stack.callback(grading.close)
        grading.complete()
        return grading.seal()


def _sure(keep: Callable[[Grade], None]) -> Callable[[Grade], None]:
    """Keeps no failure: a scorer may fail for being called beside the asking, in a thread."""

    def keep_if_graded(grade: Grade) -> None:
        if grade[0] is not None:
            keep(grade)

    return keep_if_graded


def _metrics(exam: Exam, scores: Mapping[bytes, list[Score | None]]) -> dict[str, float]:
    if exam.task.metrics is None:
        return {}
    graded = [Graded(exam.items[item], tuple(each)) for item, each in scores.items()]
    found = {name: float(value) for name, value in exam.task.metrics(graded).items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}
