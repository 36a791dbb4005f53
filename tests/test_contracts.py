"""What every task, backend, trainer and renderer promises, whoever wrote it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any

import orjson
import pytest

from evalkit import plugins
from evalkit.backends.echo import preference
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.exams.data import open_rows
from evalkit.exams.exam import Exam, sit
from evalkit.identity import identity
from evalkit.judging.hearing import hear
from evalkit.judging.judgments import Judgment
from evalkit.types import Backend, Response, Sample, Score, Task, ToolCall, Trainer

from .bfcl_mutations import NOBODY_PASSES

UNSOLVED = {"ifeval"}
"""Tasks of which nobody can write down an answer to every question that earns full marks."""
ABSENT = (" has no ", "NLTK's sentence model")
"""What is said of a part of a benchmark that is not here, or of what its checkers need."""
SOME = 60  # samples looked at, where looking at all would take long
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
PRESETS = [
    (name, preset)
    for name, task in plugins.all_plugins("tasks").items()
    for preset in ("", *task.presets)
]
GARBAGE = [
    "",
    "\0",
    "\ud800",
    "\u202e\x1b[2J",
    "{" * 50_000,
    '{"name": ' * 2000,
    "9" * 5000,
    "x" * 1_000_000,
    "answer is (" * 90_000,
    "A\n" * 100_000,
    "-" * 200_000,
    " " * 200_000,
    "null",
    "[]",
    '{"name": null, "arguments": []}',
    "<think>",
]


@cache
def sitting(name: str, preset: str) -> Exam:
    return sit(TaskSection(name=name, preset=preset), None, None)[0]


def no_rows(split: str) -> Iterator[dict[str, Any]]:
    raise AssertionError(f"a generated task asked for rows of {split}")


def present(name: str, preset: str) -> tuple[Task, list[Sample]]:
    """A task and its samples; skipped where its data are not here."""
    task = plugins.task(name, preset)
    if task.source and not os.environ.get("EVALKIT_DATA"):
        pytest.skip(f"{name} needs EVALKIT_DATA")
    try:
        return task, list(sitting(name, preset).items.values())
    except DataError as error:
        elsewhere = task.source is not None and task.source.elsewhere
        if not elsewhere and not any(said in str(error) for said in ABSENT):
            raise
        pytest.skip(f"{name}: {error}")


def spread(task: Task, samples: list[Sample]) -> list[Sample]:
    some = SOME // 6 if task.runs_code else SOME
    return samples[:: max(1, len(samples) // some)]


def graded(task: Task, sample: Sample, response: Response) -> Score:
    assert task.score is not None
    score = task.score(sample, response)
    low, high = task.bounds
    assert math.isfinite(score.value)
    assert low <= score.value <= high
    assert score.answer is None or isinstance(score.answer, str)
    orjson.dumps(dict(score.details))
    return score


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_task_is_well_formed(name: str, preset: str) -> None:
    task = plugins.task(name, preset)
    assert NAME.fullmatch(name)
    assert all(NAME.fullmatch(each) for each in task.presets)
    assert (task.score is None) != (task.rubric is None)
    assert task.domain
    assert task.version >= 1
    assert task.epochs >= 1
    assert task.bounds[0] < task.bounds[1]
    assert task.sampling.max_tokens > 0
    assert task.rubric is None or task.rubric.scale == task.bounds
    known = {field.name for field in fields(Task)} - {"name", "domain", "presets", "preset"}
    assert all(set(changes) <= known for changes in task.presets.values())


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_its_samples_are_distinct_whole_and_always_the_same(name: str, preset: str) -> None:
    task, samples = present(name, preset)
    assert len(samples) >= 15
    assert task.items in (None, len(samples))
    assert len({sample.id for sample in samples}) == len(samples)
    assert all(sample.id and isinstance(sample.id, str) for sample in samples)
    for sample in spread(task, samples):
        prompt = sample.rendered()
        assert prompt
        assert isinstance(prompt, str) or all(turn["role"] and turn["content"] for turn in prompt)
        orjson.dumps([sample.target, dict(sample.metadata)])
        assert task.ask == "generate" or len(sample.choices) > 1
        assert task.fewshot == 0 or sample.question  # or examples would be part of the item
    again = sit(TaskSection(name=name, preset=preset), None, None)[0]
    assert list(again.items) == list(sitting(name, preset).items)
    assert again.data_digest == sitting(name, preset).data_digest


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_its_solution_earns_full_marks_and_nothing_earns_none(name: str, preset: str) -> None:
    task, samples = present(name, preset)
    if task.score is None:
        pytest.skip(f"{name} is judged")
    best, worst = task.bounds[::-1] if task.higher_is_better else task.bounds
    passable = [sample for sample in samples if sample.id not in NOBODY_PASSES]
    for sample in spread(task, passable):
        if task.ask == "loglikelihood":
            assert graded(task, sample, preference(task, sample, knows=True)).value == best
            assert graded(task, sample, preference(task, sample, knows=False)).value == worst
        else:
            assert task.solution is not None or name in UNSOLVED
            right = task.solution(sample) if task.solution else None
            if right is not None:
                assert graded(task, sample, Response(right)).value == best
            if right != "":  # else nothing is what is asked for
                assert graded(task, sample, Response("")).value == worst


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda text: ascii(text[:10]))
@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_no_answer_makes_its_scorer_fail(name: str, preset: str, garbage: str) -> None:
    task, samples = present(name, preset)
    for sample in samples[: 1 if task.runs_code else 2]:
        size = len(sample.choices)
        response = Response(garbage, loglikelihoods=(-1.0,) * size)
        called = replace(response, tool_calls=(ToolCall(garbage[:100], garbage),))
        if task.rubric:
            try:
                sitting(name, preset).check_prompts()
            except DataError as error:
                pytest.skip(f"{name}: {error}")
            assert task.rubric.views(sample, response, Response("another answer"))
            opinion = hear(task.rubric, Judgment(response))
            assert (opinion.value is None) == bool(opinion.failure)
        else:
            graded(task, sample, response)
            graded(task, sample, called)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_none_of_its_training_items_is_evaluated(name: str, preset: str) -> None:
    task, samples = present(name, preset)
    if task.train is None:
        pytest.skip(f"{name} has no training split")
    trained = list(task.train(open_rows(task.source, None) if task.source else no_rows))
    assert trained
    assert {identity.item(task, sample) for sample in trained}.isdisjoint(
        identity.item(task, sample) for sample in samples
    )
    prompts = {str(sample.rendered()) for sample in trained}
    assert not [sample.id for sample in samples if str(sample.rendered()) in prompts]
    clusters = {sample.cluster for sample in trained} - {""}
    assert not clusters & {sample.cluster for sample in samples}


@pytest.mark.parametrize("backend", plugins.all_plugins("backends").values(), ids=lambda b: b.name)
def test_a_backend_is_well_formed(backend: Backend) -> None:
    assert NAME.fullmatch(backend.name.replace("_", "-"))
    assert all(callable(part) for part in (backend.open, backend.identify, backend.environment))
    assert "name" not in backend.options
    orjson.dumps(dict(backend.options))


def test_a_trainer_is_well_formed_and_no_method_has_two_unless_named() -> None:
    trainers: list[Trainer] = list(plugins.all_plugins("trainers").values())
    own = [method for each in trainers if not each.launched for method in each.methods]
    assert len(own) == len(set(own)) > 0
    for trainer in trainers:
        assert len(set(trainer.methods)) == len(trainer.methods)
        assert callable(trainer.run)
        assert callable(trainer.check)
        assert plugins.source_files(trainer.run.__module__)


def test_renderers_write_different_files() -> None:
    names = [renderer.filename for renderer in plugins.all_plugins("reports").values()]
    assert len({*names}) == len(names)
    assert all("/" not in name for name in names)
