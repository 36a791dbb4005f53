"""What the answers took, and judging them: of every checkpoint in every task."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.evidence.values import Effort, Evidence
from evalkit.verdict import Report

from ._scores import scores
from ._text import clean, count


@dataclass(frozen=True, slots=True)
class Cost:
    """One cell: counts in words, and a share of the largest for the eye."""

    checkpoint: str
    task: str
    answers: str
    prompt: str
    completion: str
    per_answer: str  # completion tokens
    seconds: str
    pace: str  # answers a second
    share: float  # of the most completion tokens of any cell


@dataclass(frozen=True, slots=True)
class Judged:
    """What judging one cell took, in words."""

    checkpoint: str
    task: str
    calls: str
    prompt: str
    completion: str
    price: str


def judged(report: Report) -> list[Judged]:
    """A row a cell that judges were asked about, by task."""
    return [
        Judged(
            clean(score.checkpoint, 60),
            clean(score.task, 60),
            count(cost.calls),
            count(cost.prompt_tokens),
            count(cost.completion_tokens),
            "" if cost.price is None else f"{cost.price:,.2f}",
        )
        for score in scores(report)
        if (cost := score.judging) and cost.calls
    ]


def costs(report: Report, evidence: Evidence) -> list[Cost]:
    """A row a cell of which something is known, by task."""
    known = [
        (score.checkpoint, score.task, effort)
        for score in scores(report)
        if (effort := evidence.effort(score.checkpoint, score.task)) and effort.answers
    ]
    most = max((effort.completion_tokens for *_, effort in known), default=0)
    return [_cost(*row, most) for row in known]


def _cost(checkpoint: str, task: str, effort: Effort, most: int) -> Cost:
    timed = effort.seconds is not None and effort.seconds > 0 and effort.timed
    return Cost(
        clean(checkpoint, 60),
        clean(task, 60),
        count(effort.answers),
        count(effort.prompt_tokens) if effort.prompt_tokens else "",
        count(effort.completion_tokens) if effort.completion_tokens else "",
        f"{effort.completion_tokens / effort.answers:.1f}" if effort.completion_tokens else "",
        _brief(effort.seconds or 0) if timed else "",
        _brief(effort.timed / (effort.seconds or 1)) if timed else "",
        effort.completion_tokens / most if most else 0.0,
    )


def _brief(number: float) -> str:
    """A number by its first two or three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.2g}"
