"""AIME: integers first, mathematics second, and what sixteen answers come to."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.exams.exam import sit
from evalkit.grading.grade import ByScorer
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Rows, Sample
from tasks.aime import STATED, TASKS, boxed, integer, score
from tests.small_exams import sit as sit_here

DATA = Path(os.environ.get("EVALKIT_DATA", ""))
needs_data = pytest.mark.skipif("EVALKIT_DATA" not in os.environ, reason="EVALKIT_DATA is not set")
pytestmark = pytest.mark.skipif(
    find_spec("math_verify") is None, reason="math-verify is not installed"
)
ROW = {"id": 7, "problem": "What is $69 + 1$?", "answer": "070"}


def sample(preset: str = "", **changed: Any) -> Sample:
    def rows(_split: str) -> Iterator[dict[str, Any]]:
        yield {**ROW, **changed}

    (found,) = plugins.task("aime-2024", preset).samples(rows)
    return found


def test_each_problem_is_asked_sixteen_times_at_a_stated_temperature() -> None:
    for task in TASKS:
        assert task.epochs == 16
        assert (task.sampling.temperature, task.sampling.top_p) == (0.6, 0.95)
        assert task.sampling.max_tokens == 32_768


def test_every_form_asks_the_same_item() -> None:
    from evalkit.identity.identity import item

    asked = [sample(preset) for preset in ("", *TASKS[0].presets)]
    assert len({str(each.rendered()) for each in asked}) == 4
    assert len({item(TASKS[0], each) for each in asked}) == 1
    assert asked[0].target == 70
    assert str(asked[1].rendered()) == "Question: What is $69 + 1$?\nAnswer:"


@pytest.mark.parametrize(
    ("text", "answer", "stage"),
    [
        ("It is \\boxed{70}.", "70", "integer"),
        ("\\boxed{070}", "70", "integer"),
        ("\\boxed{71}, no: $\\boxed{ 70 }$", "70", "integer"),
        ("\\boxed{70}, or \\boxed{7", "70", "integer"),
        ("The answer is 71. So the final **answer: 70**.", "70", "integer"),
        ("Therefore, the final answer is: $70$.", "70", "integer"),
        ("\\boxed{1,070}", "1070", "integer"),
        ("", None, None),
        ("\n", None, None),
    ],
)
def test_an_integer_is_read_where_there_is_one(
    text: str, answer: str | None, stage: str | None
) -> None:
    graded = score(sample(), Response(text))
    assert (graded.answer, graded.details.get("stage")) == (answer, stage)
    assert graded.value == float(answer == "70")


@pytest.mark.parametrize(
    ("text", "value", "answer"),
    [
        ("\\boxed{\\text{70}}", 1.0, "70"),
        ("\\boxed{7 \\cdot 10}", 1.0, "70"),
        ("\\boxed{m + n = 70}", 1.0, "70"),
        ("\\boxed{70^\\circ}", 1.0, "70"),
        ("the answer is $\\frac{140}{2}$", 1.0, "70"),
        ("\\boxed{70, 71}", 0.0, "70, 71"),
        ("\\boxed{7 0}", 0.0, "7 0"),
        ("the answer is 70.5", 0.0, "70.5"),
        ("I have no idea.", 0.0, None),
    ],
)
def test_what_is_no_integer_is_read_as_mathematics(
    text: str, value: float, answer: str | None
) -> None:
    graded = score(sample(), Response(text))
    assert (graded.value, graded.answer) == (value, answer)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("\\boxed{a{b}c}", "a{b}c"),
        ("\\boxed{1}\\boxed{{2}", "1"),
        ("\\boxed{}", ""),
        ("boxed{1}", None),
    ],
)
def test_the_last_box_that_is_closed_counts(text: str, content: str | None) -> None:
    assert boxed(text) == content


READERS: list[Callable[[str], object]] = [boxed, integer, lambda text: list(STATED.finditer(text))]


@pytest.mark.parametrize("read", READERS, ids=["boxed", "integer", "stated"])
@pytest.mark.parametrize(
    "piece", ["\\boxed{", "\\boxed{}", "}", "answer", "answer ", " ", "*", "9", "answer is 9", "1,"]
)
def test_half_a_megabyte_is_read_at_once(read: Callable[[str], object], piece: str) -> None:
    start = time.process_time()
    read(piece * (500_000 // len(piece)))
    read("answer" + piece * (500_000 // len(piece)))
    assert time.process_time() - start < 2.0


def test_thoughts_are_no_answer() -> None:
    from evalkit.storage.answer import Answer

    def graded(text: str) -> tuple[float, str]:
        answer = Answer(b"", "7", 0, b"", "", Response(text))
        found, outcome = ByScorer(score, 1.0)(sample(), answer)
        assert found is not None
        return found.value, outcome

    assert graded("<think>\\boxed{70}</think>\\boxed{71}") == (0.0, "wrong")
    assert graded("<think>\\boxed{71}</think>\\boxed{70}") == (1.0, "correct")
    assert graded("<think>It must be \\boxed{70}") == (0.0, "unclosed_think")


def test_figures_are_over_all_answers_of_a_problem(tmp_path: Path) -> None:
    rows = [{**ROW, "id": n, "problem": f"What is $69 + 1$? ({n})"} for n in range(15)]

    def samples(_: Rows) -> Iterable[Sample]:
        return TASKS[0].samples(lambda _split: iter(rows))

    def said(request: Request) -> Response:
        return Response(f"\\boxed{{{70 if request.epoch < 6 else 100 + request.epoch}}}")

    sit_here(tmp_path, replace(TASKS[0], samples=samples, source=None), said)
    (cell,) = Store(tmp_path).cells()
    found = cell.meta()["metrics"][""]
    assert (found["avg@16"], found["maj@16"], found["pass@16"]) == (6 / 16, 1.0, 1.0)
    assert found["pass@2"] == pytest.approx(1 - (10 * 9) / (16 * 15))


@pytest.mark.parametrize("answer", ["1000", "-1", "seven", "7.5", ""])
def test_a_row_whose_answer_is_none_of_aime_is_an_error(answer: str) -> None:
    with pytest.raises(DataError, match=r"problem 7: .* is not from 0 to 999"):
        sample(answer=answer)


@needs_data
@pytest.mark.parametrize("year", [2024, 2025])
@pytest.mark.parametrize("preset", ["", *TASKS[0].presets])
def test_every_problem_is_there_and_its_solution_right(year: int, preset: str) -> None:
    (exam,) = sit(TaskSection(name=f"aime-{year}", preset=preset), None, None)
    assert len(exam.items) == 30
    if preset == "":
        scores = [
            score(each, Response(f"\\boxed{{{each.target}}}")) for each in exam.items.values()
        ]
        assert {each.value for each in scores} == {1.0}


def answers(folder: str, name: str) -> list[int]:
    path = DATA / folder / name
    if path.suffix == ".csv":
        with path.open() as file:
            return [int(row["answer"]) for row in csv.DictReader(file)]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [int(row.get("answer", row.get("expected_answer"))) for row in rows]


@needs_data
@pytest.mark.parametrize(
    ("year", "others"),
    [
        (2024, ["evalchemy_aime24.json", "nemo-skills_aime24_test.txt"]),
        (2025, ["evalchemy_aime25.json", "nemo-skills_aime25_test.txt"]),
    ],
)
def test_every_collection_has_the_same_answers(year: int, others: list[str]) -> None:
    (exam,) = sit(TaskSection(name=f"aime-{year}"), None, None)
    ours = sorted(each.target for each in exam.items.values())
    folder = f"aime{year - 2000}"
    arena = [f"matharena_aime_{year}_{part}_answers.csv" for part in ("I", "II")]
    assert sorted(answers(folder, arena[0]) + answers(folder, arena[1])) == ours
    for name in others:
        assert sorted(answers(folder, name)) == ours


@needs_data
@pytest.mark.skipif(find_spec("lm_eval") is None, reason="lm-eval is not installed")
def test_lm_evals_own_function_is_stricter_and_never_kinder() -> None:
    (exam,) = sit(TaskSection(name="aime-2025", preset="lm-eval"), None, None)
    assert exam.task.score is not None
    forms = ["\\boxed{{{}}}", "${}$", "{}", "The answer is {}."]
    for each in list(exam.items.values())[:10]:
        for form in forms:
            text = form.format(each.target)
            assert score(each, Response(text)).value >= exam.task.score(each, Response(text)).value
