"""GPQA: the options' order belongs to the question and the epoch, and to nothing else."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.exams.data import open_rows
from evalkit.exams.exam import sit
from evalkit.identity import identity
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Sample, Task
from tasks.gpqa import COUNTS, TASKS, answer_line, arranged, letter
from tests.small_exams import sit as seated

HOME = Path(os.environ.get("EVALKIT_DATA") or "absent")
needs_data = pytest.mark.skipif(not (HOME / "gpqa").is_dir(), reason="EVALKIT_DATA has no gpqa")
PRESETS = ("", *TASKS[0].presets)
ROW = {
    "Record ID": "rec1",
    "Question": "Which number is even?",
    "Correct Answer": "two",
    "Incorrect Answer 1": "one",
    "Incorrect Answer 2": "three",
    "Incorrect Answer 3": "five",
    "High-level domain": "Physics",
}


def rows_of(*rows: dict[str, Any]) -> Any:
    def rows_(_split: str) -> Iterator[dict[str, Any]]:
        yield from rows

    return rows_


def sample(preset: str = "", **changed: Any) -> Sample:
    (found,) = plugins.task("gpqa-main", preset).samples(rows_of({**ROW, **changed}))
    return found


def test_the_order_is_a_function_of_the_question_and_the_epoch() -> None:
    one = sample()
    orders = [arranged(one, epoch).choices for epoch in range(40)]
    random.seed(1)
    assert orders == [arranged(one, epoch).choices for epoch in range(40)]
    assert len(set(orders)) > 10
    assert arranged(arranged(one, 7), 0).choices == one.choices
    turned = sample(**{"Correct Answer": "two", "Incorrect Answer 1": "five",
                       "Incorrect Answer 3": "one"})  # fmt: skip
    assert turned.choices == one.choices  # however upstream has them
    assert {arranged(one, epoch).target for epoch in range(40)} == set("ABCD")


@pytest.mark.parametrize("epoch", range(8))
@pytest.mark.parametrize("preset", PRESETS)
def test_the_target_follows_the_right_option(preset: str, epoch: int) -> None:
    found = arranged(sample(preset), epoch)
    assert found.choices["ABCD".index(found.target)] == "two"
    prompt = str(found.rendered())
    assert f"{found.target}) two" in prompt
    assert identity.item(TASKS[0], found) == identity.item(TASKS[0], sample())


def test_each_form_asks_in_its_own_words() -> None:
    a, b, c, d = sample().choices
    options = f"\n\nChoices:\n(A) {a}\n(B) {b}\n(C) {c}\n(D) {d}"
    start = "What is the correct answer to this question: Which number is even?"
    assert sample().rendered() == f"{start}{options}\nLet's think step by step: "
    assert str(sample("zero-shot").rendered()).startswith(f"{start}{options}\n\nFormat your")
    simple = str(sample("simple-evals").rendered())
    assert simple.endswith(f"\n\nWhich number is even?\n\nA) {a}\nB) {b}\nC) {c}\nD) {d}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The correct answer is (C)", "C"),
        ("Maybe (A). No, the answer is (B).", "B"),
        ("Answer: (D)", "D"),
        ("answer is (E), so (A)", None),  # the last pattern's first place is (E)
        ("answer is (E). answer: (A)", "A"),
        ("(A) or (B)", "A"),
        ("C", None),
        ("", None),
    ],
)
def test_a_letter_is_read_as_the_authors_read_it(text: str, expected: str | None) -> None:
    assert letter(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Answer: B\nAnswer: C", "B"), ("ANSWER : $D$", "D"), ("answer: (A)", None), ("B", None)],
)
def test_a_letter_is_read_as_simple_evals_reads_it(text: str, expected: str | None) -> None:
    assert answer_line(text) == expected


def generated() -> Task:
    """The task on twenty questions that are no secret."""
    rows = rows_of(
        *({**ROW, "Record ID": str(n), "Question": f"Which is even? ({n})"} for n in range(20))
    )
    return replace(TASKS[0], samples=lambda _: TASKS[0].samples(rows), source=None, epochs=2)


def test_steps_are_asked_for_and_then_the_answer(tmp_path: Path) -> None:
    def thoughtful(request: Request) -> Response:
        if str(request.prompt).endswith("step by step: "):
            return Response("<think>Hm.</think>Two is even.", prompt_tokens=5, completion_tokens=2)
        assert "step by step: Two is even.\n\nBased on the above" in str(request.prompt)
        return Response(f"The correct answer is ({request.sample.target})", completion_tokens=1)

    held, log = seated(tmp_path, generated(), thoughtful)
    (cell,) = Store(tmp_path).cells()
    assert held.failures == []
    assert len(log.asked) == 80
    assert cell.meta()["outcomes"][""] == {"correct": 40}
    assert {a.response.completion_tokens for a in cell.answers().values()} == {3}


def test_steps_that_were_cut_off_are_told_apart(tmp_path: Path) -> None:
    def hasty(request: Request) -> Response:
        if not str(request.prompt).endswith("step by step: "):
            return Response("I cannot say.")
        if int(request.sample.id) < 5:
            return Response("<think>It is")
        reason = "length" if int(request.sample.id) < 12 else "stop"
        return Response("Two", finish_reason=reason)

    _, log = seated(tmp_path, generated(), hasty)
    (cell,) = Store(tmp_path).cells()
    assert cell.meta()["outcomes"][""] == {"truncated": 14, "unclosed_think": 10, "unparsed": 16}
    assert len(log.asked) == 10 + 2 * 30


def test_a_record_that_comes_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="Record ID rec1 comes twice"):
        list(TASKS[0].samples(rows_of(ROW, ROW)))


@needs_data
@pytest.mark.parametrize("part", COUNTS)
def test_the_authors_encrypted_file_holds_every_question(part: str) -> None:
    (exam,) = sit(TaskSection(name=f"gpqa-{part}"), None, None)
    samples = list(exam.items.values())
    assert len(samples) == COUNTS[part]
    assert {each.stratum for each in samples} == {"Biology", "Chemistry", "Physics"}
    places = Counter(each.target for each in samples)
    assert all(count > 0.15 * len(samples) for count in places.values())
    for each in samples:
        right = str(each.metadata["right"])
        assert each.choices["ABCD".index(each.target)] == right


@needs_data
def test_another_password_is_said_not_to_fit() -> None:
    source = TASKS[0].source
    assert source is not None
    wrong = replace(source, password="wrong")
    with pytest.raises(DataError, match=r"dataset\.zip: damaged zip file, or not encrypted as"):
        list(open_rows(wrong, HOME / "gpqa")("test"))
