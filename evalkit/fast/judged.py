"""Judging in a fast gate: only what the looks have asked for is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.events import Notify
from evalkit.grading.grade import Grader
from evalkit.judging.grading import grader
from evalkit.judging.panel import Panel
from evalkit.judging.session import judge_answers
from evalkit.matrix import Matrix
from evalkit.seat import Seat


@dataclass(frozen=True)
class Judging:
    """The panel of a matrix, asked about one seat at a time."""

    matrix: Matrix
    results: Path
    notify: Notify

    @property
    def who(self) -> Panel | None:
        """The panel, where there is one."""
        return Panel.of(self.matrix)

    def grader(self, seat: Seat) -> Grader | None:
        """Has the answers of a seat's items judged; who then grades them.  None without a judge."""
        panel = self.who
        if panel is None:
            return None
        alone = replace(self.matrix, exams=(seat.exam,))
        judge_answers(alone, [seat], self.results, self.notify)
        return grader(panel, seat.exam, seat.cell)
