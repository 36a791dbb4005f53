"""Grading one answer: its score, and the class of what became of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from evalkit.errors import EvalkitError, SandboxError
from evalkit.grading.refusals import refuses
from evalkit.storage.answer import Answer
from evalkit.storage.journal import dumps
from evalkit.types import Response, Sample, Score, Task

FILTERED = "content_filter"
THINK_END = "</think>"
THINK_START = "<think>"

Grade = tuple[Score | None, str]
"""A score with its outcome class; no score where the sample is missing."""

Grader = Callable[[Sample, Answer], Grade]

MISSING = "errored"
"""The outcome of a sample whose answer could not be had."""

UNGRADED = "ungraded"
"""How the outcome of a sample begins that could not be graded now: the next run grades it."""


def one(grader: Grader, sample: Sample, answer: Answer | None) -> Grade:
    """The grade of one sample; that of one without an answer is that it is missing."""
    return (None, MISSING) if answer is None else grader(sample, answer)


@dataclass(frozen=True, slots=True)
class ByScorer:
    """The grader of a task that scores answers itself."""

    score: Callable[[Sample, Response], Score]
    best: float  # the score that is full marks

    def __call__(self, sample: Sample, answer: Answer) -> Grade:
        """The score, or why there is none."""
        if answer.response.error:
            return None, MISSING
        response = without_thoughts(answer.response)
        try:
            graded = _plain(self.score(sample, response))
        except SandboxError as error:
            return None, f"{UNGRADED}: {error}"[:200]
        except Exception as error:  # a scorer is a plugin: one bad sample never stops a run
            return None, f"scorer failed: {type(error).__name__}: {error}"[:200]
        if not math.isfinite(graded.value):
            return None, "scorer failed: the score is not a number"
        return graded, outcome(response, graded, self.best)


def by_scorer(task: Task) -> ByScorer:
    """The grader of a task that scores answers itself."""
    if task.score is None:
        raise EvalkitError(f"{task.name} has no scorer of its own: name a judge in `judge:`")
    return ByScorer(task.score, task.bounds[1] if task.higher_is_better else task.bounds[0])


def _plain(score: Score) -> Score:
    """The score in the types that it declares, whatever a plugin put there."""
    answer = None if score.answer is None else str(score.answer)
    details = json.loads(plain_json(dict(score.details)))
    return Score(float(score.value), answer, details, str(score.outcome))


def without_thoughts(response: Response) -> Response:
    """The response with what a reasoning model wrote before its answer taken off."""
    _, closed, after = response.text.rpartition(THINK_END)
    if closed:
        return replace(response, text=after.lstrip("\n"))
    if response.text.lstrip().startswith(THINK_START):
        return replace(response, text="", reasoning=response.text)
    return response


def declines(response: Response) -> bool:
    """Whether an answer begins as refusals do, or was held back by a filter."""
    return response.finish_reason == FILTERED or refuses(response.text)


def outcome(response: Response, score: Score, best: float) -> str:
    """The class of a graded sample: what became of it, told from the most certain sign down."""
    if score.value == best:
        return "correct"
    unread = score.answer is None
    refused = unread and declines(response)
    return broken_off(response, score.outcome) or (
        "refused" if refused else "unparsed" if unread else "wrong"
    )


def broken_off(response: Response, stated: str = "") -> str:
    """Why an answer is no whole one: truncated, empty, what its scorer stated, …; "" if it is."""
    signs = {
        "truncated": response.finish_reason == "length",
        "unclosed_think": response.reasoning.lstrip().startswith(THINK_START),
        stated: bool(stated),
        "empty": not (response.text.strip() or response.tool_calls or response.loglikelihoods),
        "refused": response.finish_reason == FILTERED,
    }
    return next((name for name, seen in signs.items() if seen), "")


def plain_json(value: Any) -> str:
    """JSON of whatever a plugin put there; what JSON cannot carry, as text."""
    try:
        return dumps(value).decode()
    except TypeError:
        return json.dumps(value, default=str, skipkeys=True)
