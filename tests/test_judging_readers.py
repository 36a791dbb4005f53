"""What judges say is read strictly: one verdict, or none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.judging.hearing import hear
from evalkit.judging.judgments import Judgment
from evalkit.judging.readers import (
    BY_WORD,
    LEVELS,
    SIDES,
    Reader,
    either,
    labels,
    likeliest,
    rating,
    verdict_json,
)
from evalkit.types import Opinion, Response, Rubric

FIVE = labels(LEVELS, loose=True)
GRADE = rating((1.0, 10.0))
CLASSES = {
    "judge_refused", "judge_truncated", "judge_empty", "judge_contradictory", "judge_garbage",
    "judge_no_verdict",
}  # fmt: skip
READERS = {
    "sides": labels(SIDES),
    "five": FIVE,
    "last": labels(LEVELS, last=True, loose=True),
    "grade": GRADE,
    "likeliest": likeliest("m", "M"),
    "json": verdict_json(None),
    "score": verdict_json((1.0, 5.0)),
    "either": either(verdict_json(None), labels(SIDES)),
}


def heard(
    reader: Reader, text: str, finish: str = "stop", scale: tuple[float, float] = (0, 1)
) -> Opinion:
    rubric = Rubric(1, lambda *_: (), reader, scale=scale)
    return hear(rubric, Judgment(Response(text, finish_reason=finish)))


@pytest.mark.parametrize(
    ("text", "value", "weight"),
    [
        ("My final verdict is [[A>>B]].", 1.0, 3.0),
        ("[[A>B]]", 1.0, 1.0),
        ("tie: [[A=B]]", 0.5, 1.0),
        ("[[b>a]]", 0.0, 1.0),
        ("[[B>>A]]", 0.0, 3.0),
        ("[[A<<B]]", 0.0, 3.0),
        ("[[B<<A]]", 1.0, 3.0),
        ("[A>B]", 1.0, 1.0),
        ("I say [[A>B]], again [[B<A]]", 1.0, 1.0),
        ("<think>[[B>>A]]?</think>[[A>B]]", 1.0, 1.0),
    ],
)
def test_five_levels_are_read_with_their_weights(text: str, value: float, weight: float) -> None:
    found = heard(FIVE, text)
    assert (found.value, found.weight, found.failure) == (value, weight, "")


@pytest.mark.parametrize(
    ("reader", "text", "failure"),
    [
        ("five", "[[A>B]] but then [[B>A]]", "judge_contradictory"),
        ("five", "[[A>>B]] or rather [[A>B]]", "judge_contradictory"),
        ("five", "[[A>=B]]", "judge_garbage"),
        ("five", "A is better", "judge_no_verdict"),
        ("five", " \n", "judge_empty"),
        ("sides", "[[A]] [[B]]", "judge_contradictory"),
        ("sides", "[[E]]", "judge_garbage"),
        ("sides", "[A]", "judge_no_verdict"),
        ("grade", "[[3]] and [[7]]", "judge_contradictory"),
        ("grade", "[[0]]", "judge_garbage"),
        ("grade", "[[11]]", "judge_garbage"),
        ("grade", "[[rating]]", "judge_garbage"),
        ("grade", "Rating: 7", "judge_no_verdict"),
        ("likeliest", "mM M m", "judge_contradictory"),
        ("likeliest", "Both", "judge_no_verdict"),
        ("json", '{"verdict": "C or D"}', "judge_garbage"),
        ("json", "{'verdict': A", "judge_garbage"),
        ("json", "A", "judge_no_verdict"),
        ("score", '{"score": 9}', "judge_garbage"),
        ("score", '{"score": true}', "judge_garbage"),
        ("score", '{"score": "5"}', "judge_garbage"),
        ("score", '{"score": NaN}', "judge_garbage"),
    ],
)
def test_what_is_no_single_verdict_has_a_class_and_no_value(
    reader: str, text: str, failure: str
) -> None:
    found = heard(READERS[reader], text, scale=(1.0, 10.0) if reader == "grade" else (0.0, 5.0))
    assert found.value is None
    assert found.failure == failure


def test_a_verdict_that_was_cut_off_is_truncated_and_one_before_the_cut_is_heard() -> None:
    assert heard(FIVE, "Let me think", "length").failure == "judge_truncated"
    assert heard(FIVE, "[[A>B]] because", "length").value == 1.0


def test_the_last_label_holds_where_the_authors_read_it_so() -> None:
    assert heard(READERS["last"], "First [[A>B]], but finally [[B>>A]]").value == 0.0
    assert heard(READERS["last"], "[[A>=B]] so [[A=B]]").value == 0.5


@pytest.mark.parametrize(
    ("text", "grade"), [("Rating: [[7]]", 7.0), ("[[6.5]]", 6.5), ("[9]", 9.0), ("[[5.]]", 5.0)]
)
def test_a_grade_is_read_as_fastchat_reads_it(text: str, grade: float) -> None:
    assert heard(GRADE, text, scale=(1.0, 10.0)).value == grade


def test_a_choice_is_weighed_by_the_odds_of_its_tokens() -> None:
    reader = READERS["likeliest"]
    top = {"m": math.log(0.6), "M": math.log(0.2), "The": math.log(0.1)}
    found = reader(Response("m", logprobs=(top,)))
    assert found.value == pytest.approx(0.75)
    assert reader(Response("M", logprobs=({"M": -0.01},))).value == 0.0
    assert reader(Response("I", logprobs=({"I": -0.01},))).value is None


def test_a_judge_without_log_probabilities_is_taken_at_its_word_and_the_label_says_so() -> None:
    found = READERS["likeliest"](Response("M"))
    assert (found.value, found.label) == (0.0, f"M{BY_WORD}")


def test_json_is_read_with_or_without_a_fence_and_words_where_there_is_none() -> None:
    reader = READERS["either"]
    assert heard(reader, '```json\n{"explanation": "x", "verdict": "A"}\n```').value == 1.0
    assert heard(reader, '{"verdict": "tie"}').value == 0.5
    assert heard(reader, "I say [[B]]").value == 0.0
    assert heard(reader, '{"verdict": "Q"} [[B]]').value == 0.0


def test_a_reader_that_breaks_is_garbage_and_a_value_off_the_scale_is_none() -> None:
    def broken(response: Response) -> Opinion:
        raise RuntimeError(response.text)

    assert heard(broken, "x").failure == "judge_garbage"
    assert heard(lambda _: Opinion(1.5), "x").failure == "judge_garbage"
    assert heard(lambda _: Opinion(math.nan), "x").failure == "judge_garbage"


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("[]AB<>=C0159.{}\"' verdictscore:m\n"), max_size=200))
@pytest.mark.parametrize("name", sorted(READERS))
def test_any_text_is_a_value_on_the_scale_or_a_class_of_failure(name: str, text: str) -> None:
    scale = (1.0, 10.0) if name in ("grade", "score") else (0.0, 1.0)
    found = heard(READERS[name], text, scale=scale)
    if found.value is None:
        assert found.failure in CLASSES
    else:
        assert scale[0] <= found.value <= scale[1]
        assert found.failure == ""


@pytest.mark.parametrize("name", sorted(READERS))
@pytest.mark.parametrize("text", ["[" * 300_000, "[[" * 150_000, "[[A" * 100_000, "{" * 300_000])
def test_a_long_hostile_text_is_read_at_once(name: str, text: str) -> None:
    assert heard(READERS[name], text).value is None
