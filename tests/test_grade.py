"""Grades: what became of every sample, whatever a model wrote and a scorer does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import EvalkitError
from evalkit.grading.cells import grade
from evalkit.grading.grade import by_scorer, outcome, without_thoughts
from evalkit.storage.store import Answer, Cell, Store
from evalkit.storage.tables import read_table
from evalkit.types import Graded, Response, Sample, Score, ToolCall
from tests.small_exams import doubles, exact, exam, right_below, sit

SAMPLE = Sample("1", "?", "2")


def graded(response: Response, **task: Any) -> tuple[float | None, str]:
    found = by_scorer(doubles(1, **task))(SAMPLE, Answer(b"", "1", 0, b"", "?", response))
    return (None if found[0] is None else found[0].value), found[1]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response("2"), (1.0, "correct")),
        (Response("2", finish_reason="length"), (1.0, "correct")),
        (Response("3"), (0.0, "wrong")),
        (Response("3", finish_reason="length"), (0.0, "truncated")),
        (Response(""), (0.0, "empty")),
        (Response("<think>it is 2"), (0.0, "unclosed_think")),
        (Response("<think>3</think>2"), (1.0, "correct")),
        (Response("<think>3</think>\n\n2"), (1.0, "correct")),
        (Response("a</think>b</think>2"), (1.0, "correct")),
        (Response("x", finish_reason="content_filter"), (0.0, "refused")),
        (Response(error="timeout"), (None, "errored")),
        (Response("2", error="timeout"), (None, "errored")),
    ],
)
def test_every_answer_has_a_class(response: Response, expected: tuple[float, str]) -> None:
    assert graded(response) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("I'm sorry, I can't.", "refused"), ("As an AI I", "refused"), ("Well, hm.", "unparsed")],
)
def test_what_could_not_be_read_is_a_refusal_or_unparsed(text: str, expected: str) -> None:
    assert outcome(Response(text), Score(0.0, None), 1.0) == expected
    assert outcome(Response(text), Score(0.0, "x"), 1.0) == "wrong"


def test_a_call_alone_is_not_empty() -> None:
    assert outcome(Response("", tool_calls=(ToolCall("f", ""),)), Score(0.0, "x"), 1) == "wrong"


def test_thoughts_are_taken_off_and_other_text_is_left_alone() -> None:
    assert without_thoughts(Response("<b>x</b>")).text == "<b>x</b>"
    assert without_thoughts(Response("<think>x")).reasoning == "<think>x"


def failing(error: Exception) -> Callable[[Sample, Response], Score]:
    def score(sample: Sample, response: Response) -> Score:
        raise error

    return score


@pytest.mark.parametrize(
    "score",
    [
        failing(ZeroDivisionError("by 0")),
        failing(RecursionError()),
        lambda s, r: None,
        lambda s, r: Score("much"),  # type: ignore[arg-type]
        lambda s, r: Score(None),  # type: ignore[arg-type]
        lambda s, r: Score(math.nan),
        lambda s, r: Score(math.inf),
        lambda s, r: 1.0,
    ],
)
def test_a_scorer_that_fails_leaves_the_sample_missing(score: Any) -> None:
    value, said = graded(Response("2"), score=score)
    assert value is None
    assert said.startswith("scorer failed: ")
    assert len(said) <= 200


@pytest.mark.parametrize(
    "score",
    [
        Score(1, 7, {"a": {1, 2}}),  # type: ignore[arg-type]
        Score(True, ["x"], {1: 2}),  # type: ignore[arg-type,dict-item]
        Score(1.0, "a\ud800", {"b": "\ud800", "c": math.nan, "d": 2**80}),
        Score(1.0, "\0", {("a", "b"): object()}),  # type: ignore[dict-item]
    ],
)
def test_odd_details_are_kept_as_text_and_stop_nothing(tmp_path: Path, score: Score) -> None:
    sit(tmp_path, doubles(5, score=lambda sample, response: score))
    (cell,) = Store(tmp_path).cells()
    assert read_table(cell.scores_path()).column("value").to_pylist() == [1.0] * 5


def test_details_that_hold_themselves_are_a_failure_of_the_sample() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    assert graded(Response("2"), score=lambda s, r: Score(1.0, "2", loop))[0] is None


def test_a_judged_task_has_no_scorer() -> None:
    with pytest.raises(EvalkitError, match="name a judge"):
        by_scorer(doubles(1, score=None))


def test_every_sample_due_has_a_row_also_if_it_was_never_answered(tmp_path: Path) -> None:
    sit(tmp_path, doubles(5), right_below(3))
    (cell,) = Store(tmp_path).cells()
    counts = grade(exam(doubles(8, epochs=2)), cell, by_scorer(doubles(8)))
    assert counts.outcomes == {"correct": 3, "errored": 11, "wrong": 2}
    assert read_table(cell.scores_path()).num_rows == 16


def test_lower_is_better_is_correct_at_the_low_end() -> None:
    task = replace(doubles(1), higher_is_better=False, score=lambda s, r: Score(0.0, "x"))
    assert graded(Response("2"), score=task.score, higher_is_better=False) == (0.0, "correct")


def test_grading_again_gives_the_same_bytes(tmp_path: Path) -> None:
    sit(tmp_path, doubles(20), right_below(7))
    (cell,) = Store(tmp_path).cells()
    before = cell.scores_path().read_bytes()
    grade(exam(doubles(20)), Cell(cell.path), by_scorer(doubles(20, score=exact)))
    assert cell.scores_path().read_bytes() == before


def test_a_costly_scorer_is_run_by_other_processes_with_the_same_grades(tmp_path: Path) -> None:
    sit(tmp_path / "here", doubles(40), right_below(7))
    sit(tmp_path / "there", doubles(40, costly=True), right_below(7))
    (here,), (there,) = Store(tmp_path / "here").cells(), Store(tmp_path / "there").cells()
    assert here.scores_path().read_bytes() == there.scores_path().read_bytes()


def test_a_task_may_have_figures_of_its_own(tmp_path: Path) -> None:
    def figures(graded: Sequence[Graded]) -> dict[str, float]:
        known = [[score.value for score in each.scores if score] for each in graded]
        return {"best of 2": sum(map(max, known)) / len(known), "odd": math.nan}

    task = doubles(10, epochs=2, metrics=figures)
    sit(tmp_path, task, right_below(5))
    (cell,) = Store(tmp_path).cells()
    found = cell.meta()["metrics"][""]
    assert found["best of 2"] == found["pass@2"] == 0.5
    assert "odd" not in found
