"""HumanEval: prompts and programs as the authors have them; right is right, in every form."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.exams.exam import sit
from evalkit.grading.several import Several
from evalkit.sandbox.host import width
from evalkit.types import Response, Sample
from tasks.humaneval import TASKS

PRESETS = ("", *TASKS[0].presets)

ROW = {
    "task_id": "HumanEval/0",
    "prompt": 'from math import floor\n\n\ndef lower(x: float) -> int:\n    """Rounds down."""\n',
    "entry_point": "lower",
    "canonical_solution": "    return floor(x)\n",
    "test": "\n\ndef check(candidate):\n    assert candidate(1.5) == 1\n"
    "    assert candidate(-1.5) == -2\n",
}
BODY = "    return floor(x)\n"


def sample(preset: str = "", **changed: Any) -> Sample:
    def rows(_split: str) -> Iterator[dict[str, Any]]:
        yield {**ROW, **changed}

    (found,) = plugins.task("humaneval", preset).samples(rows)
    return found


def verdict(text: str, preset: str = "") -> tuple[float, str | None, str]:
    score = plugins.task("humaneval", preset).score
    assert score is not None
    graded = score(sample(preset), Response(text))
    return graded.value, graded.answer, graded.outcome


def test_a_base_model_is_asked_for_the_rest_of_a_module() -> None:
    assert sample().rendered() == ROW["prompt"]
    assert sample("bigcode").rendered() == ROW["prompt"].strip()
    assert TASKS[0].sampling.stop == ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def test_an_assistant_is_asked_in_words() -> None:
    assert sample("instruct").rendered() == [
        {
            "role": "user",
            "content": "Write a solution to the following problem and make sure that it passes the "
            f"tests:\n```python\n{ROW['prompt']}\n```\n",
        }
    ]
    turns = sample("simple-evals").rendered()
    assert not isinstance(turns, str)
    assert turns[0]["content"].endswith(f"the code for this function.\n{ROW['prompt']}")


def test_one_problem_is_one_item_in_every_form() -> None:
    from evalkit.identity.identity import item

    assert len({item(TASKS[0], sample(preset)) for preset in PRESETS}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BODY, (1.0, BODY, "")),
        ("    return int(x)\n", (0.0, "    return int(x)\n", "")),
        ("    return floor(x", (0.0, "    return floor(x", "")),
        ("", (0.0, None, "")),
        ("\n  \n", (0.0, None, "")),
        ("    while True: pass\n", (0.0, "    while True: pass\n", "timed_out")),
        (
            "    class A:\n        def __eq__(self, o): return True\n    return A()\n",
            (
                0.0,
                "    class A:\n        def __eq__(self, o): return True\n    return A()\n",
                "forged",
            ),
        ),
    ],
    ids=["right", "wrong", "no Python", "empty", "blank", "endless", "forged"],
)
def test_a_completion_is_run_after_its_prompt(
    text: str, expected: tuple[float, str | None, str]
) -> None:
    assert verdict(text) == expected


WHOLE = ROW["prompt"] + BODY


@pytest.mark.parametrize(
    ("preset", "text", "value"),
    [
        ("instruct", f"Sure!\n```python\n{WHOLE}```\nIt rounds down.", 1.0),
        ("instruct", f"```\nprint(1)\n```\nand\n```py\n{WHOLE}```", 1.0),
        ("instruct", f"```python\n{BODY}```", 1.0),
        ("instruct", BODY, 1.0),
        ("instruct", "def lower(x):\n    return floor(x)", 1.0),
        ("instruct", "```python\ndef lower(x):\n    return round(x)\n```", 0.0),
        ("instruct", f"  ```python\n{WHOLE}  ```", 1.0),
        ("simple-evals", f"```python\n{WHOLE}```", 1.0),
        ("simple-evals", f"```python\n{WHOLE}```\n```python\nx\n```", 1.0),
        ("simple-evals", WHOLE, 1.0),
        ("simple-evals", BODY, 0.0),  # its first character is taken for the signature's last
        ("simple-evals", f"```py\n{WHOLE}```", 0.0),
    ],
)
def test_code_is_read_out_of_an_answer(preset: str, text: str, value: float) -> None:
    assert verdict(text, preset)[0] == value


def test_pass_at_k_stands_beside_the_mean() -> None:
    def figures(items: int, *values: float | None) -> dict[str, float]:
        several = Several.of(replace(TASKS[0], epochs=len(values)))
        for item in range(items):
            for value in values:
                several.take(item, value, None)
        return several.figures()

    found = figures(3, 1.0, 0.0, 0.0, 0.0)
    assert found["pass@2"] == pytest.approx(0.5)
    assert found["pass@4"] == 1.0
    assert figures(1, 1.0) == {}
    assert figures(1, None) == {}
    assert figures(1, *[1.0] * 20, *[0.0] * 180)["pass@100"] > 0.99


def scores(preset: str, text: str = "", every: int = 1) -> dict[str, float]:
    """Of every problem, or every so many, for its solution or for one text."""
    (exam,) = sit(TaskSection(name="humaneval", preset=preset), None, None)
    score, solution = exam.task.score, exam.task.solution
    assert score is not None
    assert solution is not None

    def value(each: Sample) -> float:
        return score(each, Response(text or solution(each))).value

    with ThreadPoolExecutor(width()) as pool:
        samples = list(exam.items.values())[::every]
        return dict(zip((each.id for each in samples), pool.map(value, samples), strict=True))


needs_data = pytest.mark.skipif("EVALKIT_DATA" not in os.environ, reason="EVALKIT_DATA is not set")


@needs_data
def test_every_solution_of_the_authors_passes() -> None:
    found = scores("")
    assert len(found) == 164
    assert [name for name, value in found.items() if value != 1.0] == []


@needs_data
@pytest.mark.parametrize("preset", ["bigcode", "instruct", "simple-evals"])
def test_they_pass_in_every_other_form_too(preset: str) -> None:
    assert set(scores(preset, every=4).values()) == {1.0}


@needs_data
@pytest.mark.parametrize("body", ["    return object()\n", "    import os; os._exit(0)\n"])
def test_no_problem_is_solved_by_a_body_that_solves_none(body: str) -> None:
    assert set(scores("", body, every=2).values()) == {0.0}
