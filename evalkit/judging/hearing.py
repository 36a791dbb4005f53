"""What a judgment comes to: an opinion, or the class of failure that it is.

    judge_timeout        no answer in time               asked again by the next run
    judge_failed         another infrastructure error    asked again by the next run
    judge_refused        the judge would not judge
    judge_truncated      cut off before there was a verdict
    judge_empty          nothing was said
    judge_contradictory  several verdicts that exclude each other
    judge_garbage        something in the place of a verdict that is none: a grade off the scale
    judge_no_verdict     words, and no verdict among them

None of them is a grade: the answer is missing, neither won nor lost.
"""

from __future__ import annotations

from dataclasses import replace

from evalkit.backends._retry import TIMED_OUT
from evalkit.grading.grade import without_thoughts
from evalkit.grading.refusals import refuses
from evalkit.judging.judgments import Judgment
from evalkit.types import Opinion, Response, Rubric

UNJUDGED = "unjudged"
"""The outcome of an answer that no judge has been asked about yet."""

CONTRADICTORY, GARBAGE = "judge_contradictory", "judge_garbage"
TIMEOUT, FAILED = "judge_timeout", "judge_failed"
UNHEARD = frozenset({UNJUDGED, TIMEOUT, FAILED})
"""Outcomes of answers that the next run asks a judge about."""


def hear(rubric: Rubric, judgment: Judgment) -> Opinion:
    """The opinion in a judgment; without a value, its `failure` is one of the classes above."""
    response = without_thoughts(judgment.response)
    if response.error:
        return Opinion(failure=TIMEOUT if TIMED_OUT in response.error else FAILED)
    try:
        opinion = rubric.read(response)
    except Exception:  # a reader is a plugin, and what it reads is hostile
        opinion = Opinion(failure=GARBAGE)
    if opinion.value is None:
        return replace(opinion, failure=_failure(response, opinion))
    low, high = rubric.scale
    if not low <= opinion.value <= high:  # nor is it where it is not a number
        return replace(opinion, value=None, failure=GARBAGE)
    return opinion


def _failure(response: Response, opinion: Opinion) -> str:
    signs = {
        "judge_refused": response.finish_reason == "content_filter" or refuses(response.text),
        opinion.failure: bool(opinion.failure),
        "judge_truncated": response.finish_reason == "length",
        "judge_empty": not response.text.strip(),
    }
    return next((name for name, seen in signs.items() if seen), "judge_no_verdict")
