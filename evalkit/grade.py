"""Grading: stored answers to scores, each with the class of what became of it.

Answers are never asked for here, so a new scorer re-grades a cell at no cost.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.exam import Exam
from evalkit.journal import dumps
from evalkit.store import Answer, Cell
from evalkit.tables import SCORE_COLUMNS, write_table
from evalkit.types import Graded, Response, Sample, Score, Task

REFUSAL = re.compile(
    r"\s*(I'm sorry|I am sorry|Sorry,|I apologi[sz]e|I can(?:'|no)t (?:help|assist|answer|provide)"
    r"|I'm (?:unable|not able) to|I am (?:unable|not able) to|As an AI\b)",
    re.IGNORECASE,
)
THINK_END = "</think>"
THINK_START = "<think>"

Grade = tuple[Score | None, str]
"""A score with its outcome class; no score where the sample is missing."""

Grader = Callable[[Sample, Answer], Grade]

CHUNK = 8  # samples that a process of a costly scorer takes at once


@dataclass(frozen=True, slots=True)
class Summary:
    """What grading a cell came to: how its samples ended, and the task's own figures."""

    outcomes: Mapping[str, int]
    metrics: Mapping[str, float] = field(default_factory=dict)


def grade(exam: Exam, cell: Cell, grader: Grader) -> Summary:
    """Writes the scores of a cell, one row for each sample due."""
    task, answers = exam.task, cell.answers()
    due = [
        (item, epoch, task.at(sample, epoch))
        for item, sample in exam.items.items()
        for epoch in range(task.epochs)
    ]
    pairs = [(sample, answers.get((item, epoch))) for item, epoch, sample in due]
    grades = _in_processes(grader, pairs) if task.costly else (_one(grader, *p) for p in pairs)
    rows: list[dict[str, Any]] = []
    scores: dict[bytes, list[Score | None]] = {}
    for (item, epoch, sample), (score, outcome) in zip(due, grades, strict=True):
        rows.append(_row(item, sample, epoch, score, outcome))
        scores.setdefault(item, []).append(score)
    write_table(cell.scores_path(task.preset), rows, SCORE_COLUMNS)
    outcomes = dict(sorted(Counter(row["outcome"] for row in rows).items()))
    return Summary(outcomes, _metrics(exam, scores))


def _one(grader: Grader, sample: Sample, answer: Answer | None) -> Grade:
    return (None, "errored") if answer is None else grader(sample, answer)


def _in_processes(grader: Grader, pairs: list[tuple[Sample, Answer | None]]) -> Iterator[Grade]:
    """The grades in order, by a process per core; prompts are rendered to cross over."""
    whole = ((replace(sample, prompt=sample.rendered()), answer) for sample, answer in pairs)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield from pool.map(_one_pair, ((grader, *pair) for pair in whole), chunksize=CHUNK)


def _one_pair(job: tuple[Grader, Sample, Answer | None]) -> Grade:
    return _one(*job)


def _metrics(exam: Exam, scores: Mapping[bytes, list[Score | None]]) -> dict[str, float]:
    if exam.task.metrics is None:
        return {}
    graded = [Graded(exam.items[item], tuple(each)) for item, each in scores.items()]
    found = {name: float(value) for name, value in exam.task.metrics(graded).items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


@dataclass(frozen=True, slots=True)
class ByScorer:
    """The grader of a task that scores answers itself."""

    score: Callable[[Sample, Response], Score]
    best: float  # the score that is full marks

    def __call__(self, sample: Sample, answer: Answer) -> Grade:
        """The score, or why there is none."""
        if answer.response.error:
            return None, "errored"
        response = without_thoughts(answer.response)
        try:
            graded = _plain(self.score(sample, response))
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
    details = json.loads(_json(dict(score.details)))
    return Score(float(score.value), answer, details)


def without_thoughts(response: Response) -> Response:
    """The response with what a reasoning model wrote before its answer taken off."""
    _, closed, after = response.text.rpartition(THINK_END)
    if closed:
        return replace(response, text=after.lstrip("\n"))
    if response.text.lstrip().startswith(THINK_START):
        return replace(response, text="", reasoning=response.text)
    return response


def outcome(response: Response, score: Score, best: float) -> str:
    """The class of a graded sample: what became of it, told from the most certain sign down."""
    if score.value == best:
        return "correct"
    unread = score.answer is None
    refused = unread and REFUSAL.match(response.text) is not None
    return broken_off(response) or ("refused" if refused else "unparsed" if unread else "wrong")


def broken_off(response: Response) -> str:
    """Why an answer is no whole one: truncated, unclosed_think, empty, refused; "" if it is."""
    signs = {
        "truncated": response.finish_reason == "length",
        "unclosed_think": response.reasoning.lstrip().startswith(THINK_START),
        "empty": not (response.text.strip() or response.tool_calls or response.loglikelihoods),
        "refused": response.finish_reason == "content_filter",
    }
    return next((name for name, seen in signs.items() if seen), "")


def _row(
    item: bytes, sample: Sample, epoch: int, score: Score | None, outcome: str
) -> dict[str, Any]:
    target = sample.target if isinstance(sample.target, str) else _json(sample.target)
    return {
        "item": item,
        "id": sample.id,
        "epoch": epoch,
        "value": math.nan if score is None else score.value,
        "answer": score.answer if score else None,
        "target": target,
        "outcome": outcome,
        "stratum": sample.stratum,
        "cluster": sample.cluster,
        "details": _json(dict(score.details)) if score and score.details else "",
    }


def _json(value: Any) -> str:
    try:
        return dumps(value).decode()
    except TypeError:
        return json.dumps(value, default=str, skipkeys=True)
