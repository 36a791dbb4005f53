"""A stored answer, and its two forms: a line of a cell's journal, and a row of its table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.types import Response, ToolCall

EMPTY: dict[str, Any] = {
    "id": "",
    "epoch": 0,
    "question": "",
    "text": "",
    "reasoning": "",
    "tool_calls": "",
    "finish_reason": "",
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "loglikelihoods": [],
    "greedy": [],
    "turns": [],
    "error": "",
}
"""What a field is that a line leaves out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One stored answer: who was asked what, and what came back."""

    item: bytes
    id: str
    epoch: int
    request: bytes
    question: str
    response: Response


def line(answer: Answer) -> dict[str, Any]:
    """The answer as one journal line; fields that hold nothing are left out."""
    row = columns(answer)
    row["item"], row["request"] = answer.item.hex(), answer.request.hex()
    return {name: value for name, value in row.items() if value not in ("", 0, [], None)}


def columns(answer: Answer) -> dict[str, Any]:
    """The answer as a row of the table."""
    response = answer.response
    calls = [[call.name, call.arguments] for call in response.tool_calls]
    return {
        "item": answer.item,
        "id": answer.id,
        "epoch": answer.epoch,
        "request": answer.request,
        "question": answer.question,
        "text": response.text,
        "reasoning": response.reasoning,
        "tool_calls": json.dumps(calls) if calls else "",
        "finish_reason": response.finish_reason,
        "prompt_tokens": response.prompt_tokens,
        "completion_tokens": response.completion_tokens,
        "loglikelihoods": list(response.loglikelihoods),
        "greedy": list(response.greedy),
        "turns": list(response.turns),
        "error": response.error,
    }


def row_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the journal, or a row of a table that an older version wrote, as a whole row."""
    row = {**EMPTY, **kept}
    if isinstance(row["item"], str):
        row["item"], row["request"] = bytes.fromhex(row["item"]), bytes.fromhex(row["request"])
        # JSON has no infinity: null is what the journal made of a likelihood of nothing
        row["loglikelihoods"] = [-math.inf if v is None else v for v in row["loglikelihoods"]]
    return row


def answer_of(kept: Mapping[str, Any]) -> Answer:
    """A line or a row as an answer; raises what one that is neither makes."""
    row = row_of(kept)
    calls = json.loads(row["tool_calls"]) if row["tool_calls"] else []
    response = Response(
        text=row["text"],
        reasoning=row["reasoning"],
        tool_calls=tuple(ToolCall(name, arguments) for name, arguments in calls),
        finish_reason=row["finish_reason"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        loglikelihoods=tuple(row["loglikelihoods"]),
        greedy=tuple(row["greedy"]),
        turns=tuple(row["turns"]),
        error=row["error"],
    )
    return Answer(row["item"], row["id"], row["epoch"], row["request"], row["question"], response)


def outlives(known: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether an answer stays: an error says nothing new, unless something else was asked."""
    failed_again = bool(row.get("error")) and not known.get("error")
    return failed_again and _request(known) == _request(row)


def _request(row: Mapping[str, Any]) -> bytes:
    asked = row["request"]
    return bytes.fromhex(asked) if isinstance(asked, str) else bytes(asked)
