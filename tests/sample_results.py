"""A results folder with all that a page can show: slices, tools, a judge, hostile answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from evalkit.comparison.policy import Policy
from evalkit.evidence.stored import StoredEvidence
from evalkit.judging.rubrics import both_orders, target
from evalkit.matrix import Row
from evalkit.reporting.report import of_run
from evalkit.reporting.writing import write
from evalkit.types import Request, Response, Rows, Rubric, Sample, Task, ToolCall
from evalkit.verdict import Curve, Made, Report, TrainingNote
from tests.hostile import HOSTILE
from tests.small_exams import backend, checkpoint, doubles, exam, held, row
from tests.test_judge import ask, fair, labelled, read

CHINESE = "中文知识"
ITEMS = 60
NAMES = ("base", "sft", "grpo")
FALLS = {"base": 52, "sft": 30, "grpo": 44}
"""On how many of the items of `doubles` each is right."""


def sliced(_: Rows) -> Iterable[Sample]:
    for i in range(ITEMS):
        yield Sample(str(i), f"twice {i}?", str(2 * i), stratum="even" if i % 2 == 0 else "odd")


def speech(_: Rows) -> Iterable[Sample]:
    for name, text in HOSTILE.items():
        asked = f"say {text[:2000]}"
        yield Sample(name, asked, "fine", question=asked)


def chinese(_: Rows) -> Iterable[Sample]:
    for i in range(ITEMS):
        yield Sample(
            f"问题{i}", f"{i}的两倍是多少？", str(2 * i), stratum="算术" if i % 2 else "数"
        )


def calls(_: Rows) -> Iterable[Sample]:
    for i in range(ITEMS):
        yield Sample(str(i), f"add {i} and 1", "called")


def tasks() -> list[Task]:
    """Five small tasks, each of a kind of its own."""
    rubric = Rubric(1, both_orders(ask), read, against=target, audit=labelled)
    return [
        doubles(ITEMS, samples=sliced),
        doubles(1, name="speech", domain="speech", samples=speech),
        doubles(1, name=CHINESE, domain="知识", samples=chinese),
        doubles(1, name="tools", domain="function-calling", samples=calls),
        doubles(ITEMS, name="chat", score=None, domain="chat", rubric=rubric),
    ]


def answer(name: str, request: Request) -> Response:
    """What a checkpoint says; the trained ones say hostile things."""
    return replace(_answer(name, request), prompt_tokens=12, completion_tokens=30)


def _answer(name: str, request: Request) -> Response:
    sample, trained = request.sample, name != "base"
    match request.task.name:
        case "speech":
            return Response(HOSTILE[sample.id] if trained else "fine")
        case "tools":
            call = ToolCall("add", '{"a": 1, "b": {"c": [2, 3]}}' if trained else "not JSON {")
            return Response("called" if not trained else "", tool_calls=(call,))
        case "chat":
            good = not trained or int(sample.id) % 3
            return Response(str(sample.target) if good else "no idea")
        case task:
            number = int(sample.id.removeprefix("问题"))
            if number < FALLS[name] or (trained and task == CHINESE and number % 2):
                return Response(str(sample.target), reasoning="let me think")
            cut = "length" if number % 3 == 0 else "stop"
            return Response(f"I believe it is {number}, 大约", finish_reason=cut)


def made(results: Path) -> Report:
    """Makes the folder, and its report with everything in it."""
    parents = {"sft": "base", "grpo": "sft"}
    rows = [
        row(
            name,
            lambda request, name=name: answer(name, request),  # type: ignore[misc]
            parent=parents.get(name, ""),
            method="" if name == "base" else name,
        )
        for name in NAMES
    ]
    judge = Row(checkpoint("judge"), backend(fair)[0])
    policy = Policy(margins={"arithmetic": 0.05, "chat": 0.02})
    run = held(rows, [exam(task) for task in tasks()], results, judge=judge, policy=policy)
    steps = list(range(0, 110, 10))
    falls = [1 / (1 + s) for s in steps]
    training = [
        TrainingNote(
            stage=name,
            method=name,
            curves=[Curve(name=metric, steps=steps, values=falls) for metric in metrics],
        )
        for name, metrics in (("sft", ["loss"]), ("grpo", ["loss", "reward"]))
    ]
    how = Made(command="evalkit run-matrix my.yaml", config="baseline: base\n", versions={"x": "1"})
    return of_run(run).model_copy(update={"training": training, "made": how})


@cache
def folder(root: Path) -> tuple[Path, Report]:
    """The results under a root, made once, with their reports written."""
    results = root / "results"
    report = made(results)
    write(report, results / "report", ["html"], StoredEvidence(results, report))
    return results, report
