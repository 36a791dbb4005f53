"""The miniature benchmarks: their splits, their solutions, their scorers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from evalkit import Response, Sample, Task, ToolCall
from tasks import (
    mini_arithmetic,
    mini_chat,
    mini_choice,
    mini_copy,
    mini_forum,
    mini_instruct,
    mini_judge,
    mini_tools,
)
from tasks._mini import text_of

EXAMS = tuple(
    task
    for module in (mini_arithmetic, mini_choice, mini_instruct, mini_tools, mini_chat)
    for task in module.TASKS
)
ALL = (*EXAMS, *mini_copy.TASKS, *mini_forum.TASKS, *mini_judge.TASKS)
SCORED = tuple(task for task in ALL if task.score is not None)


def no_rows(split: str) -> Iterator[dict[str, Any]]:
    raise AssertionError(f"a generated task asked for rows of {split}")


def generated(task: Task, split: str) -> list[Sample]:
    generate = task.samples if split == "evaluation" else task.train
    assert generate is not None
    return list(generate(no_rows))


@cache
def by_name(name: str, split: str) -> list[Sample]:
    return generated(next(task for task in ALL if task.name == name), split)


def exam(task: Task) -> list[Sample]:
    return by_name(task.name, "evaluation")


def lessons(task: Task) -> list[Sample]:
    return by_name(task.name, "training")


def canonical(sample: Sample) -> str:
    return " ".join(sorted(text_of(sample).split()))


def named(tasks: tuple[Task, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("task", tasks, ids=lambda task: task.name)


@named(EXAMS)
def test_a_domain_has_three_hundred_distinct_prompts(task: Task) -> None:
    samples = exam(task)
    assert 300 <= len({text_of(sample) for sample in samples}) == len(samples)
    assert len({sample.id for sample in samples}) == len(samples)
    assert len({sample.cluster for sample in samples}) == len(samples)


@named(ALL)
def test_nothing_that_is_asked_was_trained_on(task: Task) -> None:
    asked, trained = exam(task), lessons(task)
    assert not {s.cluster for s in asked} & {s.cluster for s in trained}
    assert not {text_of(s) for s in asked} & {text_of(s) for s in trained}
    assert len(trained) > len(asked)


def test_nothing_that_is_asked_was_trained_on_by_way_of_another_task() -> None:
    trained = {text_of(sample) for task in ALL for sample in lessons(task)}
    assert not {text_of(sample) for task in ALL for sample in exam(task)} & trained


@named(ALL)
def test_the_same_questions_come_every_time(task: Task) -> None:
    assert generated(task, "evaluation") == exam(task)


@named(SCORED)
def test_a_solution_earns_full_marks_and_silence_none(task: Task) -> None:
    assert task.score is not None
    assert task.solution is not None
    for sample in exam(task) + lessons(task):
        good = task.score(sample, Response(task.solution(sample)))
        assert good.value == 1.0, text_of(sample)
        assert good.answer is not None
    silent = task.score(exam(task)[0], Response(""))
    assert silent.value == 0.0
    assert silent.answer is None


@named(SCORED)
def test_the_solution_of_another_question_rarely_passes(task: Task) -> None:
    assert task.score is not None
    assert task.solution is not None
    samples = exam(task)
    answers = [task.solution(sample) for sample in samples]
    passed = [
        task.score(sample, Response(answer)).value
        for sample, answer in zip(samples, answers[1:], strict=False)
    ]
    assert sum(passed) / len(passed) < (0.6 if task.name == "mini-judge" else 0.1)


def test_commuted_sums_are_one_problem() -> None:
    clusters: dict[str, set[str]] = {}
    for sample in mini_arithmetic.problems():
        clusters.setdefault(sample.cluster, set()).add(text_of(sample))
    both = {"What is 47 + 8?", "What is 8 + 47?"}
    assert any(both <= texts for texts in clusters.values())
    texts = [text for group in clusters.values() for text in group]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("task", [mini_instruct.TASKS[0], mini_choice.TASKS[0]])
def test_wordings_that_use_the_same_words_share_a_split(task: Task) -> None:
    asked = {canonical(sample) for sample in exam(task)}
    assert not asked & {canonical(sample) for sample in lessons(task)}


def test_the_likeliest_option_is_the_answer() -> None:
    task = mini_choice.TASKS[0]
    sample = exam(task)[0]
    right = [float(choice == sample.target) for choice in sample.choices]
    assert task.ask == "loglikelihood"
    assert mini_choice.score(sample, Response(loglikelihoods=tuple(right))).value == 1.0
    wrong = tuple(-value for value in right)
    graded = mini_choice.score(sample, Response(loglikelihoods=wrong))
    assert graded.value == 0.0
    assert graded.answer in sample.choices


def test_a_tool_call_counts_as_much_as_its_text() -> None:
    sample = exam(mini_tools.TASKS[0])[0]
    call = ToolCall(sample.target["name"], json.dumps(sample.target["arguments"]))
    assert mini_tools.score(sample, Response(tool_calls=(call,))).value == 1.0
    assert mini_tools.score(sample, Response(tool_calls=(call, call))).value == 0.0


def test_a_call_that_breaks_its_schema_says_where() -> None:
    sample = next(s for s in exam(mini_tools.TASKS[0]) if s.target["name"] == "order")
    item = sample.target["arguments"]["item"]
    call = {"name": "order", "arguments": {"item": item, "count": "2", "colour": "red"}}
    graded = mini_tools.score(sample, Response(json.dumps(call)))
    assert graded.details["violations"] == [
        "colour is not an argument",
        "count is not one of its values",
    ]
    assert mini_tools.score(sample, Response('{"name": "order"')).answer is None


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("cat dog cow", {"count": True, "kind": True, "distinct": True, "without": True}),
        ("cat cat horse", {"count": True, "kind": True, "distinct": False, "without": False}),
        ("red dog", {"count": False, "kind": False, "distinct": True, "without": True}),
    ],
)
def test_each_constraint_is_told_apart(text: str, held: dict[str, bool]) -> None:
    target = {"form": "without", "kind": "animal", "word": "horse", "n": 3}
    graded = mini_instruct.score(Sample("x", "", target), Response(text))
    assert graded.details == held
    assert graded.value == float(all(held.values()))


def test_the_judge_is_audited_on_pairs_that_were_held_out() -> None:
    rubric = mini_chat.TASKS[0].rubric
    assert rubric is not None
    assert rubric.audit is not None
    pairs = list(rubric.audit())
    assert len(pairs) >= 400
    winners = [pair.winner for pair in pairs]
    assert 0.4 < winners.count("first") / len(winners) < 0.6
    asked = {pair.sample.cluster for pair in pairs}
    assert not asked & {sample.cluster for sample in lessons(mini_judge.TASKS[0])}
    assert asked <= {sample.cluster for sample in exam(mini_chat.TASKS[0])}


def test_the_better_answer_of_a_pair_is_never_the_flawed_twin_of_a_good_one() -> None:
    for pair in mini_chat.labelled_pairs(held=True):
        better, worse = (
            (pair.first, pair.second) if pair.winner == "first" else (pair.second, pair.first)
        )
        good = mini_chat.solution(pair.sample)
        assert worse != good
        assert better != worse


@pytest.mark.parametrize(
    ("text", "worth"), [("First.", 1.0), ("the second", 0.0), ("tie", 0.5), ("", None)]
)
def test_a_verdict_is_read_or_is_unreadable(text: str, worth: float | None) -> None:
    assert mini_chat.read(Response(text)).value == worth
