"""GSM8K: the worked problems and patterns are lm-eval's own; answers are compared as numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.exams.exam import sit
from evalkit.grading.several import Several
from evalkit.types import Response, Sample
from tasks import gsm8k
from tasks.gsm8k import TASKS, after_answer, final, flexible, plain, stated, strict

PRESETS = ("", *TASKS[0].presets)
ROW = {"question": "Tom has 2,000 eggs. He eats 3. How many?", "answer": "2000 - 3.\n#### 1,997"}


def sample(preset: str = "", **changed: Any) -> Sample:
    def rows(_split: str) -> Iterator[dict[str, Any]]:
        yield {**ROW, **changed}

    (found,) = plugins.task("gsm8k", preset).samples(rows)
    return found


def verdict(text: str, preset: str = "") -> tuple[float, str | None]:
    score = plugins.task("gsm8k", preset).score
    assert score is not None
    graded = score(sample(preset), Response(text))
    return graded.value, graded.answer


def lm_eval(name: str) -> dict[str, Any]:
    """One of lm-eval's own task files."""
    spec = find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("lm-eval is not installed")
    path = Path(spec.submodule_search_locations[0], "tasks", "gsm8k", name)
    return dict(yaml.safe_load(path.read_text()))


def test_the_worked_problems_are_those_of_lm_eval() -> None:
    theirs = lm_eval("gsm8k-cot.yaml")
    shots = theirs["fewshot_config"]["samples"]
    asked = theirs["doc_to_text"].replace("{{question}}", "{question}")
    expected = "".join(
        f"{asked.format(question=shot['question'])} {shot['target']}\n\n" for shot in shots
    )
    assert sample().rendered() == expected + asked.format(question=ROW["question"])
    assert set(theirs["generation_kwargs"]["until"]) == {*TASKS[0].sampling.stop}


def test_a_conversation_is_that_of_lm_eval() -> None:
    theirs = lm_eval("gsm8k-cot-llama.yaml")
    asked = theirs["doc_to_text"].replace("{{question}}", "{question}")
    turns: list[dict[str, str]] = []
    for shot in theirs["fewshot_config"]["samples"]:
        turns.append({"role": "user", "content": asked.format(question=shot["question"])})
        turns.append({"role": "assistant", "content": shot["target"]})
    turns.append({"role": "user", "content": asked.format(question=ROW["question"])})
    assert sample("llama").rendered() == turns


def test_zero_shot_is_asked_as_by_lm_eval() -> None:
    theirs = lm_eval("gsm8k-cot-zeroshot.yaml")
    asked = theirs["doc_to_text"].replace("{{question}}", ROW["question"])
    assert sample("zero-shot").rendered() == asked


@pytest.mark.parametrize(
    ("read", "file", "name"),
    [
        (strict, "gsm8k-cot.yaml", "strict-match"),
        (flexible, "gsm8k-cot.yaml", "flexible-extract"),
        (final, "gsm8k-cot-llama.yaml", "strict-match"),
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        *("The answer is 5.", "The answer is 16", "The answer is 1,234. The answer is 2."),
        *("the answer is 5", "The final answer is 7", "The final answer is $1,200.50. So 3", ""),
        *("It is 12 or 13.", "no number", "$5", "-3 and -4.", "...", "1.5.2", "x 1 y", "é٣"),
        *("The answer is 6\nQ", "The answer is -6 eggs", "The answer is .", "3,000 left"),
    ],
)
def test_lm_evals_extraction_is_the_same(
    read: Callable[[str], str | None], file: str, name: str, text: str
) -> None:
    (steps,) = [each["filter"] for each in lm_eval(file)["filter_list"] if each["name"] == name]
    found = re.findall(steps[0]["regex_pattern"], text)
    theirs = found[steps[0].get("group_select", 0)] if found else None
    if isinstance(theirs, tuple):
        theirs = next(group for group in theirs if group)
    assert read(text) == theirs


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("18", "18"), ("18.00", "18"), ("$1,997", "1997"), ("1997.", "1997"), ("-3", "-3")),
        *((".5", "0.5"), ("0.50", "0.5"), ("1e3", None), ("", None), ("1.2.3", None), ("$", None)),
        *(("1" * 5000, "1" * 5000), ("٣", None), ("12 34", None), ("--3", None), ("007", "7")),
    ],
)
def test_a_number_has_one_form(text: str, number: str | None) -> None:
    assert plain(text) == number


@pytest.mark.parametrize(
    ("preset", "text", "expected"),
    [
        ("", "2000 - 3 is 1997. The answer is 1997.", (1.0, "1997")),
        ("", "The answer is 1,997", (1.0, "1997")),
        ("", "The answer is $1997.00. Q: The answer is 5.", (1.0, "1997")),
        ("", "So the answer is: 1998 eggs", (0.0, "1998")),
        ("", "1997", (0.0, None)),
        ("", "The answer is ten", (0.0, None)),
        ("lm-eval-strict", "The answer is 1997.", (1.0, "1997")),
        ("lm-eval-strict", "The answer is 1997", (0.0, "199")),
        ("lm-eval-flexible", "He has 1997 eggs.", (1.0, "1997")),
        ("lm-eval-flexible", "1997, I think...", (0.0, None)),
        ("zero-shot", "2000 - 3 = 1997", (1.0, "1997")),
        ("llama", "The final answer is 1997", (1.0, "1997")),
        ("llama", "The final answer is 1,997 eggs", (1.0, "1997")),
        ("llama", "The answer is 1997", (0.0, None)),
        ("simple-evals", "Steps.\nAnswer: 1,997", (1.0, "1997")),
        ("simple-evals", "Answer: 1997.0", (1.0, "1997")),
        ("simple-evals", "1997", (0.0, None)),
    ],
)
def test_an_answer_is_read_as_its_preset_says(
    preset: str, text: str, expected: tuple[float, str | None]
) -> None:
    assert verdict(text, preset) == expected


@pytest.mark.parametrize("read", [stated, strict, flexible, final, after_answer])
@pytest.mark.parametrize("piece", ["The answer is ", "9", "1,", "Answer", "- $", "The answer is 1"])
def test_a_megabyte_is_read_at_once(read: Callable[[str], str | None], piece: str) -> None:
    import time

    start = time.process_time()
    read(piece * (1_000_000 // len(piece)))
    assert time.process_time() - start < 2.0


def test_a_row_without_an_answer_is_an_error() -> None:
    with pytest.raises(DataError, match="row 1: no number after ####"):
        sample(answer="No idea.")


def test_several_answers_have_a_majority() -> None:
    several = Several.of(replace(gsm8k.TASKS[0], epochs=4))
    for item in range(2):
        for value, answer in ((1.0, "5"), (1.0, "5"), (0.0, "6"), (0.0, None)):
            several.take(item, value, answer)
    found = several.figures()
    assert found["pass@2"] == pytest.approx(5 / 6)
    assert found["pass@4"] == found["maj@4"] == 1.0


@pytest.mark.skipif("EVALKIT_DATA" not in os.environ, reason="EVALKIT_DATA is not set")
@pytest.mark.parametrize("preset", PRESETS)
def test_every_problem_is_there_and_its_solution_right(preset: str) -> None:
    (exam,) = sit(TaskSection(name="gsm8k", preset=preset), None, None)
    score, solution = exam.task.score, exam.task.solution
    assert score is not None
    assert solution is not None
    assert len(exam.items) == 1319
    assert all(score(s, Response(solution(s))).value == 1.0 for s in exam.items.values())
    assert not any(score(s, Response("")).value for s in exam.items.values())
