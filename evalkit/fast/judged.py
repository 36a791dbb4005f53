"""Judging in a fast gate: only what the looks have asked for is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from evalkit import judge
from evalkit.events import Notify
from evalkit.grade import Grader
from evalkit.judge import Judge
from evalkit.judging import judge_answers
from evalkit.matrix import Matrix
from evalkit.seat import Seat


@dataclass(frozen=True)
class Judging:
    """The judge of a matrix, asked about one seat at a time."""

    matrix: Matrix
    results: Path
    notify: Notify

    @property
    def who(self) -> Judge | None:
        """The judge, where there is one."""
        row = self.matrix.judge
        return Judge(row.checkpoint, row.backend) if row else None

    def grader(self, seat: Seat) -> Grader | None:
        """Has the answers of a seat's items judged; who then grades them.  None without a judge."""
        if self.who is None:
            return None
        alone = replace(self.matrix, exams=(seat.exam,))
        judge_answers(alone, [seat], self.results, self.notify, ask=True)
        return judge.grader(self.who, seat.exam, seat.cell)
