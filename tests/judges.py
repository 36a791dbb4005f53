"""Judged exams for tests: checkpoints that answer by a function, and a judge behind real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit import plugins
from evalkit.comparison.policy import Policy
from evalkit.events import silent
from evalkit.exams.exam import Exam
from evalkit.judging.readers import SIDES, labels
from evalkit.judging.rubrics import both_orders, side_by_side, target
from evalkit.matrix import Jury, Matrix, Row
from evalkit.run import Held, hold
from evalkit.storage.store import Cell, Store
from evalkit.storage.tables import read_table
from evalkit.types import Checkpoint, Rows, Rubric, Sample, Task, View
from tests.chat_server import ChatServer
from tests.small_exams import Answering, backend, checkpoint, exam

TEMPLATE = "Question {question}\nA: {a}\nB: {b}\nWhich is better, [[A]], [[B]], or [[C]] for a tie?"
JUDGE = "a-judge"


def ask(sample: Sample, first: str, second: str) -> str:
    return TEMPLATE.format(question=sample.question, a=first, b=second)


def told(view: View) -> list[str]:
    """What a judge is told, turn by turn."""
    assert not isinstance(view.prompt, str)
    return [turn["content"] for turn in view.prompt]


def shown(body: Mapping[str, Any]) -> tuple[str, str]:
    """The two answers of a request to the judge, as they were shown."""
    lines = str(body["messages"][-1]["content"]).splitlines()
    return lines[1].removeprefix("A: "), lines[2].removeprefix("B: ")


def essays(count: int = 12, **fields: Any) -> Task:
    """A task whose answers are judged in pairs against a reference."""

    def samples(_: Rows) -> Iterable[Sample]:
        for i in range(count):
            yield Sample(str(i), f"write {i}", f"essay {i}", question=f"write {i}")

    given = {"rubric": rubric(), "domain": "chat", **fields}
    return Task("essays", version=1, samples=samples, **given)


def rubric(**fields: Any) -> Rubric:
    plain = Rubric(1, both_orders(ask, TEMPLATE), labels(SIDES), against=target, note=side_by_side)
    return replace(plain, **fields)


def judge_at(server: ChatServer, name: str = "judge", **options: Any) -> Row:
    """A judge behind a server of one's own; it is not patient."""
    quick = {"retries": 0, "backoff": 0.01, "timeout": 1.0, "concurrency": 4}
    given = {**quick, "base_url": server.base_url, "model": JUDGE, **options}
    behind = plugins.backend("openai_api")
    return Row(
        Checkpoint(
            name,
            backend="openai_api",
            options={**behind.options, **given},
            identity=f"{given['model']} of the tests",
        ),
        behind,
    )


def judged_by(
    judges: Sequence[Row], results: Path, answers: Mapping[str, Answering], **fields: Any
) -> Held:
    """Checkpoints that answer so, judged; the first is the baseline."""
    return hold(court(judges, answers, **fields), results, silent)


def court(
    judges: Sequence[Row],
    answers: Mapping[str, Answering],
    task: Task | None = None,
    exams: tuple[Exam, ...] = (),
    jury: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Matrix:
    """The matrix of a judged run."""
    rows = tuple(Row(checkpoint(name), backend(answer)[0]) for name, answer in answers.items())
    return Matrix(
        rows[0].checkpoint.name,
        rows,
        (),
        exams or (exam(task or essays()),),
        judges[0] if judges else None,
        fields.pop("policy", Policy(margins={"chat": 0.05})),
        (),
        jury=Jury(others=tuple(judges[1:]), **(jury or {})),
        **fields,
    )


def cell_of(results: Path, name: str, task: str = "essays") -> Cell:
    return next(
        cell
        for cell in Store(results).cells()
        if cell.meta()["checkpoint"]["name"] == name and cell.meta()["task"] == task
    )


def column(
    results: Path, name: str, what: str, preset: str = "", task: str = "essays"
) -> list[Any]:
    """A column of a cell's scores."""
    path = cell_of(results, name, task).scores_path(preset)
    return list(read_table(path).column(what).to_pylist())


Judging = Callable[[dict[str, Any]], Mapping[str, Any]]


def better(good: Callable[[str], bool]) -> Judging:
    """A judge that prefers answers of a kind, and calls a tie between two of one kind."""

    def answering(body: dict[str, Any]) -> Mapping[str, Any]:
        first, second = (good(text) for text in shown(body))
        verdict = "C" if first == second else "A" if first else "B"
        return {"text": f"I have thought about it.\n[[{verdict}]]"}

    return answering
