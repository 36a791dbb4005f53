"""MMLU-Pro: prompts as upstream writes them, letters as upstream reads them, in linear time."""

import random
import re
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.types import Response, Rows, Sample
from tasks.mmlu_pro import (
    TASKS,
    answer_colon,
    answer_is,
    last_letter,
    samples,
    samples_lighteval,
    samples_lm_eval,
    score,
    score_answer_line,
    score_first_stage,
    score_two_stages,
    solution,
)

files = import_module("evalkit.tasks._lm_eval_files")
index = import_module("evalkit.tasks._lm_eval_index")

UPSTREAM = {
    answer_is: re.compile(r"answer is \(?([A-J])\)?"),
    answer_colon: re.compile(r".*[aA]nswer:\s*([A-J])"),
    last_letter: re.compile(r"\b([A-J])\b(?!.*\b[A-J]\b)", re.DOTALL),
}
"""The published patterns: right, but the last two take quadratic time."""

PIECES = ["answer is ", "(", ")", "A", "J", "K", "answer:", "Answer:", "swer:", " ", "\n", "\t"]
PIECES += ["\r", "\u2028", "\u00a0", "_", "é", "Answer", "I ", "**", ".", "1", "\x1c", "a"]
texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60)


@settings(max_examples=500, deadline=None)
@given(texts)
@pytest.mark.parametrize("stage", list(UPSTREAM), ids=lambda stage: stage.__name__)
def test_every_stage_reads_what_the_published_pattern_reads(stage: Any, text: str) -> None:
    found = UPSTREAM[stage].search(text)
    assert stage(text) == (found[1] if found else None)


@pytest.mark.parametrize("stage", list(UPSTREAM), ids=lambda stage: stage.__name__)
def test_every_stage_agrees_on_many_random_texts(stage: Any) -> None:
    generator = random.Random(0)
    for _ in range(20_000):
        text = "".join(generator.choices(PIECES, k=generator.randrange(25)))
        found = UPSTREAM[stage].search(text)
        assert stage(text) == (found[1] if found else None), text


HOSTILE = {
    "no line break": "Answer " * 150_000,
    "colons": "answer:" * 150_000,
    "colons and blanks": "answer: \t" * 120_000,
    "one colon, then blanks": "answer:" + " " * 1_000_000,
    "letters": "A B " * 250_000,
    "letters that join up": "AB" * 500_000,
    "almost": "answer is (" * 90_000,
    "lines": "answer:\n" * 130_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_megabyte_is_read_at_once(text: str) -> None:
    sample = Sample("1", "", target="A")
    start = time.process_time()
    score(sample, Response(text))
    last_letter(text)
    assert time.process_time() - start < 2.0  # the published patterns take many minutes


@pytest.mark.parametrize(
    ("text", "answer", "stage"),
    [
        ("The answer is (C). Or the answer is (D).", "C", "answer is X"),
        ("the answer is B, Answer: C", "B", "answer is X"),
        ("Answer: A or answer: B\nAnswer: C", "B", "answer: X"),
        ("So it is D, not E", "E", "last letter"),
        ("No idea", None, None),
        ("The answer is (K).", None, None),
        ("", None, None),
    ],
)
def test_the_stage_that_found_the_letter_is_kept(
    text: str, answer: str | None, stage: str | None
) -> None:
    graded = score(Sample("1", "", target=answer), Response(text))
    assert (graded.answer, graded.details.get("stage")) == (answer, stage)
    assert graded.value == (1.0 if answer else 0.0)


def test_the_older_extraction_has_no_third_stage() -> None:
    sample = Sample("1", "", target="E")
    assert score_two_stages(sample, Response("So it is D, not E")).answer is None
    assert score_two_stages(sample, Response("answer: E")).value == 1.0
    assert TASKS[0].presets["two-stage"]["score"] is score_two_stages


def question(number: object, **changed: object) -> dict[str, Any]:
    row = {
        "question_id": number,
        "question": f"What is {number}?",
        "options": ["one", "two", "N/A", "three"],
        "answer": "B",
        "answer_index": 1,
        "cot_content": "",
        "category": "math",
    }
    return {**row, **changed}


def worked(number: int) -> dict[str, Any]:
    text = f"A: Let's think step by step. It is {number}. The answer is (B)."
    return question(number, cot_content=text)


def reader(test: list[dict[str, Any]], validation: list[dict[str, Any]] | None = None) -> Rows:
    """Rows from memory; a split that is None must not be asked for."""

    def rows(split: str) -> Iterator[dict[str, Any]]:
        found = test if split == "test" else validation
        assert found is not None, f"{split} was asked for"
        return iter(found)

    return rows


EXPECTED = (
    """\
The following are multiple choice questions (with answers) about math. Think step by step and then \
finish your answer with "the answer is (X)" where X is the correct letter choice.



"""
    + "".join(
        f"""\
Question:
What is {number}?
Options:
A. one
B. two
C. three
Answer: Let's think step by step. It is {number}. The answer is (B).

"""
        for number in range(5)
    )
    + """\
Question:
What is 70?
Options:
A. one
B. two
C. three
Answer: Let's think step by step."""
)


def test_the_prompt_is_the_published_one() -> None:
    rows = reader([question(70)], [worked(number) for number in range(6)])
    (sample,) = samples(rows)
    assert sample.rendered() == EXPECTED


def test_a_sample_holds_what_a_scorer_needs() -> None:
    (sample,) = samples(reader([question(70)]))
    assert (sample.id, sample.target, sample.stratum) == ("70", "B", "math")
    assert sample.choices == ("one", "two", "three")
    assert sample.question == "What is 70?"
    assert score(sample, Response(solution(sample))).value == 1.0


def test_no_worked_example_is_needed_until_a_prompt_is() -> None:
    listed = list(samples(reader([question(number) for number in range(3)], None)))
    assert [sample.id for sample in listed] == ["0", "1", "2"]


def test_the_worked_examples_are_read_once() -> None:
    asked: list[str] = []
    inner = reader([question(1), question(2)], [worked(number) for number in range(5)])

    def rows(split: str) -> Iterator[dict[str, Any]]:
        asked.append(split)
        return inner(split)

    for sample in samples(rows):
        sample.rendered()
    assert asked == ["test", "validation"]


def test_too_few_worked_examples_are_an_error() -> None:
    (sample,) = samples(reader([question(70)], [worked(0)]))
    with pytest.raises(DataError, match="1 worked examples of 'math'"):
        sample.rendered()


def test_options_may_come_as_text() -> None:
    (sample,) = samples(reader([question("70", options="['one', 'two', 'N/A']")]))
    assert sample.choices == ("one", "two")


def test_an_id_that_comes_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="question_id 1 comes twice"):
        list(samples(reader([question(1), question("1")])))


@pytest.mark.parametrize("answer", ["D", "b", "", "AB"])
def test_an_answer_that_is_no_option_is_an_error(answer: str) -> None:
    with pytest.raises(DataError, match="question_id 1: answer"):
        list(samples(reader([question(1, answer=answer)])))


def test_lm_eval_asks_the_same_in_the_same_words() -> None:
    import datasets
    from lm_eval.api.task import ConfigurableTask

    options = [" one", "two ", "three"]
    asked = [question(number, options=options) for number in range(70, 73)]
    examples = [{**worked(number), "options": options} for number in range(6)]
    ours = [sample.rendered() for sample in samples_lm_eval(reader(asked, examples))]
    found = files.find("mmlu_pro_math", [index.own_folder()])[0]
    shown = {"validation": examples, "test": asked}
    whole = datasets.DatasetDict(
        {split: datasets.Dataset.from_list(rows) for split, rows in shown.items()}
    )
    config = {
        **{key: imported(value) for key, value in found.config.items() if key != "tag"},
        "custom_dataset": lambda **_: whole,
    }
    theirs = ConfigurableTask(config=config)
    assert ours == [
        theirs.fewshot_context(doc=doc, num_fewshot=TASKS[0].fewshot) for doc in theirs.task_docs
    ]
    assert len(ours) == 3


def imported(value: Any) -> Any:
    """A task file's value with the functions that it names."""
    if isinstance(value, dict):
        return {key: imported(each) for key, each in value.items()}
    return value.imported() if isinstance(value, files.Function) else value


def test_lighteval_asks_without_examples() -> None:
    (sample,) = samples_lighteval(reader([question(70)]))
    prompt = str(sample.rendered())
    assert "where LETTER is one of ABC. Think" in prompt
    assert prompt.endswith("\n\nWhat is 70?\n\nA: one\nB: two\nC: three\n\nAnswer:")


@pytest.mark.parametrize(
    ("text", "first", "line"),
    [
        ("The answer is (C). answer: B", "C", "B"),
        ("Answer: A\nAnswer: $B$", None, "B"),
        ("**Answer: (D)**", None, "D"),
        ("Answer: Don't know", None, None),
        ("So it is D", None, None),
    ],
)
def test_others_read_one_form_only(text: str, first: str | None, line: str | None) -> None:
    sample = Sample("1", "", target="A")
    assert score_first_stage(sample, Response(text)).answer == first
    assert score_answer_line(sample, Response(text)).answer == line
