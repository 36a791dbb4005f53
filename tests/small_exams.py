"""Small tasks, and backends whose every request is written down, for tests of the core."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from evalkit import plugins
from evalkit.comparison.policy import Policy
from evalkit.configuration.sections import TaskSection
from evalkit.events import Notify, silent
from evalkit.exams.exam import Exam
from evalkit.judging.rubrics import both_orders, target
from evalkit.matrix import Matrix, Row
from evalkit.run import Held, hold
from evalkit.types import (
    Backend,
    Checkpoint,
    LogLikelihood,
    Opinion,
    Prompt,
    Request,
    Response,
    Rows,
    Rubric,
    Sample,
    Score,
    Task,
)

Answering = Callable[[Request], Response]


@dataclass
class Log:
    """What a backend was asked."""

    opened: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)  # sample id, epoch
    prompts: list[Prompt] = field(default_factory=list)


@dataclass
class Written:
    """A model that answers by a function and writes down what it was asked."""

    answer: Answering
    log: Log
    format: Literal["chat", "completion"] = "completion"
    concurrency: int = 4

    async def generate(self, request: Request) -> Response:
        self.log.asked.append((request.sample.id, request.epoch))
        self.log.prompts.append(request.prompt)
        return self.answer(request)

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        return [LogLikelihood(-1.0 - i, 1, i == 0) for i in range(len(continuations))]

    async def rolling(self, text: str) -> LogLikelihood:
        return LogLikelihood(-float(len(text)), len(text), False)

    async def close(self) -> None:
        pass


def right(request: Request) -> Response:
    return Response(str(request.sample.target))


def right_below(number: int) -> Answering:
    """Right on the questions numbered below."""

    def answer(request: Request) -> Response:
        return right(request) if int(request.sample.id) < number else Response("no idea")

    return answer


def backend(answer: Answering = right, *, reads_prompt: bool = True) -> tuple[Backend, Log]:
    """A backend whose checkpoints answer by that function, and what it is asked."""
    log = Log()

    def open_(checkpoint: Checkpoint) -> Written:
        log.opened += 1
        return Written(answer, log)

    def environment(checkpoint: Checkpoint) -> Mapping[str, str]:
        return {"engine": "written"}

    return Backend("written", open_, lambda c: c.name, environment, {}, reads_prompt), log


def exact(sample: Sample, response: Response) -> Score:
    return Score(float(response.text == sample.target), response.text or None)


def doubles(
    count: int, *, wording: str = "twice {}?", domain: str = "arithmetic", **fields: Any
) -> Task:
    """A task of so many questions: twice 0, twice 1, …"""

    def samples(_: Rows) -> Iterable[Sample]:
        for i in range(count):
            yield Sample(str(i), wording.format(i), str(2 * i), question=f"twice {i}")

    given = {"name": "doubles", "score": exact, "samples": samples, **fields}
    return Task(domain=domain, version=1, **given)


def ask_which(sample: Sample, first: str, second: str) -> Prompt:
    return json.dumps([sample.target, first, second])


def fair(request: Request) -> Response:
    """A judge that prefers the reference; a tie where both say the same."""
    assert isinstance(request.prompt, str)
    target, first, second = json.loads(request.prompt)
    return Response("tie" if first == second else "first" if first == target else "second")


def which(said: Response) -> Opinion:
    return Opinion({"first": 1.0, "second": 0.0, "tie": 0.5}.get(said.text), said.text)


RUBRIC = Rubric(1, both_orders(ask_which), which, against=target)


def exam(task: Task, limit: int | None = None) -> Exam:
    return Exam(task, TaskSection(name=task.name, preset=task.preset), None, limit)


def checkpoint(name: str = "base", **fields: Any) -> Checkpoint:
    return replace(Checkpoint(name, backend="written", identity=f"weights of {name}"), **fields)


def logged(name: str, answer: Answering, **fields: Any) -> tuple[Row, Log]:
    """A row, and what it is asked."""
    asked_by, log = backend(answer)
    return Row(checkpoint(name, **fields), asked_by), log


def row(name: str, answer: Answering = right, **fields: Any) -> Row:
    return Row(checkpoint(name, **fields), backend(answer)[0])


def matrix(rows: Sequence[Row], exams: Sequence[Exam], **fields: Any) -> Matrix:
    """A matrix without training; the first row is the baseline."""
    whole: dict[str, Any] = {"stages": (), "judge": None, "policy": Policy(), "reports": ()}
    return Matrix(
        rows[0].checkpoint.name, rows=tuple(rows), exams=tuple(exams), **{**whole, **fields}
    )


def sit(
    results: Path, task: Task, answer: Answering = right, *, limit: int | None = None
) -> tuple[Held, Log]:
    """One checkpoint sits one task; what was asked."""
    asked_by, log = backend(answer)
    one = Row(checkpoint(), asked_by)
    return hold(matrix([one], [exam(task, limit)]), results, silent), log


def held(
    rows: Sequence[Row], exams: Sequence[Exam], results: Path, notify: Notify = silent, **more: Any
) -> Held:
    return hold(matrix(rows, exams, **more), results, notify)


def echo(name: str, skill: float, seed: int = 0) -> Row:
    """A row answered by the real echo backend."""
    options = {"skill": skill, "seed": seed}
    return Row(Checkpoint(name, backend="echo", options=options), plugins.backend("echo"))
