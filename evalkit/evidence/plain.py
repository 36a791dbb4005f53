"""A sample side by side as plain data: what the page embeds, and what `evalkit view` serves.

Fields that hold nothing are left out.  Texts are what models wrote, unescaped.
"""

from __future__ import annotations

import math
from typing import Any

from evalkit.evidence.values import Answered, Flip, Graded, Transcript
from evalkit.evidence.worddiff import changed

Plain = dict[str, Any]

BRIEF = 240
"""Characters of a target or an answer in a list."""


def summary(flip: Flip) -> Plain:
    """What a list shows of a sample."""
    return _flip(flip, BRIEF)


def whole(told: Transcript, longest: int) -> Plain:
    """Everything of a sample; texts beyond `longest` characters lose their middle."""
    found = _flip(told.flip, longest)
    found["question"] = clipped(told.question, longest)
    for name, answered in (("before", told.before), ("after", told.after)):
        found[name] |= _answered(answered, longest)
    texts = (found["before"].get("text", ""), found["after"].get("text", ""))
    if differing := changed(*texts):
        found["changed"] = [[end for pair in side for end in pair] for side in differing]
    return found


def clipped(text: str, longest: int) -> str:
    """The text, or its first two thirds and its end, with how much is left out between."""
    if len(text) <= longest:
        return text
    head = longest * 2 // 3
    tail = len(text) - (longest - head)
    return f"{text[:head]}\n… {tail - head:,} characters left out …\n{text[tail:]}"


def _flip(flip: Flip, longest: int) -> Plain:
    return {
        "id": clipped(flip.id, BRIEF),
        "slice": clipped(flip.stratum, BRIEF),
        "target": clipped(flip.target, longest),
        "delta": _finite(flip.delta),
        "before": _graded(flip.before, longest),
        "after": _graded(flip.after, longest),
    }


def _graded(graded: Graded, longest: int) -> Plain:
    told: Plain = {
        "checkpoint": graded.checkpoint,
        "epoch": graded.epoch,
        "value": _finite(graded.value),
        "answer": None if graded.answer is None else clipped(graded.answer, longest),
        "outcome": clipped(graded.outcome, BRIEF),
        "details": clipped(graded.details, longest),
    }
    return {name: value for name, value in told.items() if value is not None and value != ""}


def _answered(answered: Answered, longest: int) -> Plain:
    response = answered.response
    told: Plain = {
        "text": clipped(response.text, longest),
        "reasoning": clipped(response.reasoning, longest),
        "calls": [
            [clipped(call.name, BRIEF), clipped(call.arguments, longest)]
            for call in response.tool_calls
        ],
        "turns": [clipped(turn, longest) for turn in response.turns],
        "said": [clipped(words, longest) for words in answered.said],
        "likelihoods": [_finite(each) for each in response.loglikelihoods],
        "tokens": [response.prompt_tokens, response.completion_tokens],
        "finish": clipped(response.finish_reason, BRIEF),
        "error": clipped(response.error, longest),
    }
    return {name: value for name, value in told.items() if value not in ("", [], [0, 0])}


def _finite(number: float) -> float | None:
    """The number as JSON can carry it."""
    return round(number, 6) if math.isfinite(number) else None
