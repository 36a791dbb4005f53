"""One cell being asked, and how far that has come."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from evalkit.exams.exam import Exam
from evalkit.grading.cells import Grading
from evalkit.storage.store import Cell


@dataclass
class Sitting:
    """One cell being asked, and how far that has come."""

    exam: Exam
    cell: Cell
    gradings: tuple[Grading, ...] = ()  # who grades its answers as they come
    done: int = 0
    errors: int = 0
    asked: int = 0  # answers that were not there before
    tokens: int = 0  # of those answers
    seconds: float = 0.0  # summed over requests, which overlap
    elapsed: float = 0.0  # its share of the time that all of them took together

    @property
    def total(self) -> int:
        """Answers that the cell has when it is complete."""
        return len(self.exam.due) * self.exam.task.epochs

    @property
    def outcomes(self) -> Counter[str]:
        """What has become of the answers that were graded as they came."""
        return self.gradings[0].outcomes if self.gradings else Counter()
