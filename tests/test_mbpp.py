"""MBPP: prompts as the authors have them; every function of theirs passes its asserts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.exams.exam import sit
from evalkit.sandbox.host import width
from evalkit.types import Response, Sample
from tasks.mbpp import split_of


def row(number: int, **changed: Any) -> dict[str, Any]:
    name = f"add_{number}"
    return {
        "task_id": number,
        "text": f"Write a function to add {number}.",
        "code": f"def {name}(x):\r\n  return x + {number}",
        "test_list": [f"assert {name}({x}) == {x + number}" for x in range(3)],
        "test_setup_code": "",
        "challenge_test_list": [],
        **changed,
    }


def samples(preset: str = "", rows: list[dict[str, Any]] | None = None) -> list[Sample]:
    known = rows or [row(number) for number in (1, 2, 3, 4, 5, 11, 510, 511)]

    def read(split: str) -> Iterator[dict[str, Any]]:
        return (each for each in known if split_of(each) == split)

    return list(plugins.task("mbpp", preset).samples(read))


def verdict(text: str, preset: str = "", sample: Sample | None = None) -> tuple[float, str]:
    score = plugins.task("mbpp", preset).score
    assert score is not None
    graded = score(sample or samples(preset)[0], Response(text))
    return graded.value, graded.outcome


ASKED = """\
You are an expert Python programmer, and here is your task: Write a function to add {0}. Your code \
should pass these tests:

assert add_{0}(0) == {1}
assert add_{0}(1) == {2}
assert add_{0}(2) == {3}
[BEGIN]
"""
SHOT = "def add_{0}(x):\r\n  return x + {0}\n[DONE]\n\n"


def asked(number: int) -> str:
    return ASKED.format(number, *range(number, number + 3))


def test_the_prompt_is_the_published_one_with_the_published_examples() -> None:
    (first, last) = samples()
    shots = "".join(asked(number) + SHOT.format(number) for number in (2, 3, 4))
    assert first.rendered() == shots + asked(11)
    assert (first.id, last.id) == ("11", "510")


def test_the_other_forms_are_those_of_lm_eval_and_bigcode() -> None:
    (turns, _) = (sample.rendered() for sample in samples("instruct"))
    assert isinstance(turns, list)
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 3 + ["user"]
    assert turns[1]["content"] == "```python\ndef add_2(x):\r\n  return x + 2\n```"
    (docstring, _) = (sample.rendered() for sample in samples("bigcode"))
    assert docstring == '"""\nWrite a function to add 11.\nassert add_11(0) == 11\n"""\n'
    spec = find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("lm-eval is not installed")
    folder = Path(spec.submodule_search_locations[0], "tasks", "mbpp")
    for file, text in (("mbpp.yaml", asked(11)), ("mbpp_instruct.yaml", turns[-1]["content"])):
        form = str(_yaml(folder / file)["doc_to_text"])
        for name, value in (("text", row(11)["text"]), *_tests(11)):
            form = form.replace(f"{{{{{name}}}}}", value)
        assert form == text


def _yaml(path: Path) -> dict[str, Any]:
    lines = [line for line in path.read_text().splitlines() if "!function" not in line]
    return dict(yaml.safe_load("\n".join(lines)))


def _tests(number: int) -> list[tuple[str, str]]:
    return [(f"test_list[{i}]", test) for i, test in enumerate(row(number)["test_list"])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def add_11(x):\n  return x + 11", (1.0, "")),
        ("def add_11(x):\r\n  return x + 11\r\n[DONE]\nnonsense", (1.0, "")),
        ("def add_11(x):\n  return x + 12", (0.0, "")),
        ("def other(x):\n  return x + 11", (0.0, "")),
        ("", (0.0, "")),
        ("import sys; sys.exit(0)", (0.0, "")),
        (
            "class A:\n  def __eq__(self, o): return True\ndef add_11(x): return A()",
            (0.0, "forged"),
        ),
    ],
)
def test_what_was_written_before_done_is_run_against_the_asserts(
    text: str, expected: tuple[float, str]
) -> None:
    assert verdict(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Here:\n```python\ndef add_11(x):\n  return x + 11\n```\nDone.", 1.0),
        ("```\ndef add_11(x): return x + 11\n```\n```\nadd_11 = None\n```", 1.0),
        ("def add_11(x):\n  return x + 11", 1.0),
        ("```python\nadd_11 = None\n```\n```\ndef add_11(x): return x + 11\n```", 0.0),
    ],
)
def test_the_first_block_of_an_answer_is_what_counts(text: str, value: float) -> None:
    assert verdict(text, "instruct")[0] == value


def test_tests_may_need_a_set_up() -> None:
    tests = ["assert add_11(given) == 12"]
    rows = [row(11, test_setup_code="given = one()", test_list=tests)]
    (sample,) = samples("bigcode", rows)
    assert verdict("def one(): return 1\ndef add_11(x): return x + 11", "", sample)[0] == 1.0


def test_the_sanitized_edition_has_other_fields() -> None:
    fields = {"prompt": "Add.", "test_imports": ["import math"], "source_file": "x"}
    sanitized = row(11, **fields, test_list=["assert add_11(math.floor(1.5)) == 12"])
    del sanitized["text"], sanitized["test_setup_code"]
    shots = [row(number) for number in (2, 3, 4)]
    (sample,) = samples("sanitized", [*shots, sanitized, row(12)])
    assert sample.question == "Add."
    assert str(sample.rendered()).startswith(asked(2))
    assert verdict("def add_11(x): return x + 11", "sanitized", sample)[0] == 1.0


def test_without_its_examples_a_problem_cannot_be_asked() -> None:
    (sample,) = samples(rows=[row(2), row(11)])
    with pytest.raises(DataError, match="worked examples"):
        sample.rendered()


@pytest.mark.skipif("EVALKIT_DATA" not in os.environ, reason="EVALKIT_DATA is not set")
def test_every_function_of_the_authors_passes_and_no_constant_does() -> None:
    (exam,) = sit(TaskSection(name="mbpp"), None, None)
    score, solution = exam.task.score, exam.task.solution
    assert score is not None
    assert solution is not None
    everything = list(exam.items.values())
    assert len(everything) == 500
    wrong = "import re, builtins\nname = {name!r}\nglobals()[name] = lambda *a, **k: object()"
    with ThreadPoolExecutor(width()) as pool:
        found = pool.map(lambda s: score(s, Response(solution(s))).value, everything)
        assert [s.id for s, value in zip(everything, found, strict=True) if value != 1.0] == []
        some = everything[::5]
        names = [str(s.target).split("assert ")[1].partition("(")[0] for s in some]
        texts = [Response(wrong.format(name=name)) for name in names]
        assert set(pool.map(lambda s, text: score(s, text).value, some, texts)) == {0.0}
