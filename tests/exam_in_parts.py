"""An exam of 60 questions as two tasks of 30, and the same questions as one task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from evalkit.matrix import Row
from evalkit.types import Request, Response, Rows, Sample, Task, Whole
from tests.small_exams import Answering, exact, right, row

CONTEST = Whole("contest", ("contest-1", "contest-2"))
EPOCHS = 4


def numbered(name: str, numbers: Sequence[int], **fields: Any) -> Task:
    """A task that asks for the doubles of these numbers."""

    def samples(_: Rows) -> Iterable[Sample]:
        for i in numbers:
            yield Sample(str(i), f"twice {i}?", str(2 * i))

    return replace(Task(name, "mathematics", 1, samples, exact, epochs=EPOCHS), **fields)


FIRST = numbered("contest-1", range(30), part_of=CONTEST)
SECOND = numbered("contest-2", range(30, 60), part_of=CONTEST)
WHOLE = numbered("contest", range(60))


def skilled(skill: float, seed: str) -> Answering:
    """Right on a share of the answers, the same ones whatever task asks the question."""

    def answer(request: Request) -> Response:
        drawn = hashlib.sha256(f"{seed} {request.sample.id} {request.epoch}".encode()).digest()[0]
        return right(request) if drawn < 256 * skill else Response("no idea")

    return answer


def rows(skill: float = 0.35) -> list[Row]:
    """A baseline that is right three times in five, and a candidate of that skill."""
    return [row("base", skilled(0.6, "a")), row("sft", skilled(skill, "b"))]
