"""GPQA: the options' order belongs to the question and the epoch, and to nothing else."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import string
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
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

files = import_module("evalkit.tasks._lm_eval_files")
index = import_module("evalkit.tasks._lm_eval_index")
lm_eval = import_module("evalkit.tasks._gpqa_lm_eval")
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
WORKED = {
    "questions": [
        {
            "question": f"What is {n} + {n}?",
            "choices": {"A": "1", "B": "2 ", "C": str(2 * n), "D": "30"},
            "explanation": f"Twice {n}.",
            "correct_answer": "C",
        }
        for n in range(10, 15)
    ]
}


def rows_of(*rows: dict[str, Any]) -> Any:
    def rows_(split: str) -> Iterator[dict[str, Any]]:
        yield from rows if split == "test" else [WORKED]

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


OPENED = "Here are some example questions from experts. "
FIRST = "Question: What is 10 + 10?\nChoices:\n(A) 1\n(B) 2 \n(C) 20\n(D) 30\n"


@pytest.mark.parametrize(
    ("preset", "opened", "worked", "asked"),
    [
        (
            "five-shot",
            "Answer the final question yourself, following the format of the previous questions"
            " exactly.\n",
            "The correct answer is (C)\nQuestion: What is 11",
            "When you're ready to answer, please use the format"
            ' "The correct answer is (insert answer here).',
        ),
        (
            "five-shot-cot",
            "An explanation is given before the final answer. Answer the final question yourself,"
            " giving your reasoning beforehand.\n",
            "Let's think step by step: \nTwice 10.\nThe correct answer is (C)\nQuestion: What is 1",
            "Give step by step reasoning before you answer, and when you're ready to answer,"
            ' please use the format "The correct answer is (insert answer here)":\n',
        ),
    ],
)
def test_the_authors_examples_come_before_the_question(
    preset: str, opened: str, worked: str, asked: str
) -> None:
    found = sample(preset)
    a, b, c, d = found.choices
    prompt = str(found.rendered())
    assert prompt.startswith(f"{OPENED}{opened}{FIRST}{worked}")
    last = f"Question: Which number is even?\nChoices:\n(A) {a}\n(B) {b}\n(C) {c}\n(D) {d}\n"
    assert prompt.endswith(f"The correct answer is (C)\n{last}{asked}")
    assert prompt.count("Question: ") == 6
    assert str(arranged(found, 3).rendered()).startswith(f"{OPENED}{opened}{FIRST}{worked}")


def test_the_authors_examples_are_read_beside_the_questions(tmp_path: Path) -> None:
    with (tmp_path / "gpqa_main.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ROW)
        table.writeheader()
        table.writerow(ROW)
    section = TaskSection(name="gpqa-main", preset="five-shot")
    with pytest.raises(DataError, match=r"chain_of_thought_examples.*put it beside the questions"):
        assert sit(section, tmp_path, None)[0].items
    examples = tmp_path / "chain_of_thought_examples.json"
    examples.write_text(json.dumps(WORKED, indent=4))
    (exam,) = sit(section, tmp_path, None)
    assert [str(each.rendered()).count("Question: ") for each in exam.items.values()] == [6]
    examples.write_text(json.dumps({"questions": [{"question": "?"}]}))
    with pytest.raises(DataError, match="not the authors' file"):
        assert sit(section, tmp_path, None)[0].items


THEIRS = {
    "lm-eval-zeroshot": "gpqa_main_zeroshot",
    "lm-eval-n-shot": "gpqa_main_n_shot",
    "lm-eval-cot-zeroshot": "gpqa_main_cot_zeroshot",
    "lm-eval-cot-n-shot": "gpqa_main_cot_n_shot",
    "lm-eval-generative-n-shot": "gpqa_main_generative_n_shot",
}


def several(number: int) -> Any:
    """Rows of as many questions, whose options are not as lm-eval shows them."""
    return rows_of(
        *(
            {
                **ROW,
                "Record ID": str(n),
                "Question": f"Which is  even? ({n})",
                "Incorrect Answer 2": f" 2{n} [title] ",
            }
            for n in range(number)
        )
    )


def made_by_lm_eval(name: str, samples: list[Sample], shots: int) -> Any:
    """lm-eval's own task on the same questions, their options in our order."""
    import datasets
    from lm_eval.api.task import ConfigurableTask

    found = files.find(name, [index.own_folder()])[0]
    tidy = found.config["process_docs"].imported().__globals__["preprocess"]
    docs = [
        {
            **{f"choice{n}": tidy(text) for n, text in enumerate(each.choices, 1)},
            "Question": each.question,
            "answer": f"({each.target})",
        }
        for each in samples
    ]
    whole = datasets.DatasetDict({"train": datasets.Dataset.from_list(docs)})
    kept = {key: value for key, value in found.config.items() if key not in ("tag", "process_docs")}
    return ConfigurableTask(
        config={**kept, "custom_dataset": lambda **_: whole, "num_fewshot": shots}
    )


@pytest.mark.parametrize("preset", THEIRS)
def test_lm_eval_asks_the_same_in_the_same_words(preset: str) -> None:
    task = plugins.task("gpqa-main", preset)
    samples = list(task.samples(several(9)))
    theirs = made_by_lm_eval(THEIRS[preset], samples, task.fewshot)
    docs = list(theirs.task_docs)

    class Shown:
        def sample(self, n: int, eval_doc: Any = None, **_: Any) -> list[Any]:
            """The examples that our prompt has, in its order."""
            prompt = str(samples[docs.index(eval_doc)].rendered())
            places = sorted((prompt.find(doc["Question"]), at) for at, doc in enumerate(docs))
            shown = [docs[at] for place, at in places if place >= 0 and docs[at] != eval_doc]
            assert len(shown) == n
            return shown

    theirs.sampler = Shown()
    for each, doc in zip(samples, docs, strict=True):
        assert each.rendered() == theirs.fewshot_context(doc=doc, num_fewshot=task.fewshot)
    if task.ask == "loglikelihood":
        asked = theirs.construct_requests(doc=docs[0], ctx="", metadata=("", 0, 1))
        assert [each.args[1] for each in asked] == [f" ({letter})" for letter in "ABCD"]
    else:
        assert tuple(theirs.config.generation_kwargs["until"]) == task.sampling.stop


def test_letters_are_found_as_by_lm_evals_filters() -> None:
    from lm_eval.filters.extraction import MultiChoiceRegexFilter, RegexFilter

    draw = random.Random(0)
    choices = ["Two", "two thirds", "a (b) c", "-3.5 %"]
    pieces = ["The answer is ", "(A)", "(B).", "(E)", "two", "TWO thirds", ": C", ":D", "\n", ".",
              " ", "-3.5 %", "a b c", "x"]  # fmt: skip
    texts = ["".join(draw.choices(pieces, k=draw.randint(0, 7))) for _ in range(1500)]
    strictly = RegexFilter(regex_pattern="(?<=The answer is )(.*)(?=.)")
    flexibly = MultiChoiceRegexFilter(
        regex_pattern=r"(\([A-Z]\))", group_select=-1, ignore_case=True, ignore_punctuation=True
    )
    (loose,) = flexibly.apply([texts], [{"choices": choices}])
    (tight,) = strictly.apply([texts], [{}])
    plain = str.maketrans("", "", string.punctuation)
    for text, theirs, kept in zip(texts, loose, tight, strict=True):
        letter = theirs[1] if re.fullmatch(r"\([A-Z]\)", theirs) else None
        assert lm_eval.flexible(text, choices) == letter, text
        there = None if kept == "[invalid]" else kept.lower().translate(plain)
        assert lm_eval.strict(text) == there, text


def on_several(preset: str) -> Task:
    task = plugins.task("gpqa-main", preset)
    rows = several(12)
    return replace(task, source=None, samples=lambda _: task.samples(rows))


def test_the_likeliest_letter_is_the_answer(tmp_path: Path) -> None:
    task = on_several("lm-eval-zeroshot")
    held, _ = seated(tmp_path, task, lambda _: Response(error="no text is asked for"))
    right = [each.target for each in task.samples(rows_of())].count("A")  # A is what it prefers
    outcomes = held.seats[0].cell.meta()["outcomes"][task.preset]
    assert outcomes == {"correct": right, "wrong": 12 - right}
    assert 0 < right < 12


def test_what_the_strict_filter_finds_stands_beside_the_flexible_one(tmp_path: Path) -> None:
    task = on_several("lm-eval-cot-zeroshot")

    def answer(asked: Request) -> Response:
        letter = f"({asked.sample.target})"
        return Response(f"The answer is {letter}." if asked.sample.id < "3" else f"So {letter}")

    held, _ = seated(tmp_path, task, answer)
    meta = held.seats[0].cell.meta()
    assert meta["outcomes"][task.preset] == {"correct": 12}
    strictly = sum(str(n) < "3" for n in range(12)) / 12
    assert meta["metrics"][task.preset] == {"strict-match": pytest.approx(strictly)}


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
