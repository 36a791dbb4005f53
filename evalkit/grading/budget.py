"""A cell's budget of time for running code: grading comes to an end, whatever the answers are."""

from __future__ import annotations

import threading
import time

from evalkit.grading.grade import UNGRADED, Grade, Grader
from evalkit.storage.answer import Answer
from evalkit.types import Sample

CODE_SECONDS = 30.0
"""By the clock, for running the code of one answer: more than any takes, on average of a cell."""


class Budgeted:
    """A grader that grades as long as there is time left; what is then left is ungraded."""

    def __init__(self, grader: Grader, seconds: float) -> None:
        self.grader = grader
        self._left = seconds
        self._lock = threading.Lock()

    def __call__(self, sample: Sample, answer: Answer) -> Grade:
        """The grade, or that there was no time for it."""
        if self._left <= 0:
            return None, f"{UNGRADED}: no time left for this cell"
        began = time.monotonic()
        try:
            return self.grader(sample, answer)
        finally:
            with self._lock:
                self._left -= time.monotonic() - began
