"""One sample of an inspect log: what was asked, answered and scored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from evalkit.errors import DataError
from evalkit.identity.identity import digest
from evalkit.interchange._documents import count, number, section, text
from evalkit.interchange.imported import Row
from evalkit.types import Response

LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
CUT_OFF = ("max_tokens", "model_length")
ATTACHMENT = "attachment://"


def row(sample: Mapping[str, Any], scorer: str, part: str, where: str) -> Row:
    """One epoch of a sample, graded by a scorer or by a part of what it gives."""
    if "input" not in sample or "id" not in sample:
        raise DataError(f"{where}: `{'input' if 'id' in sample else 'id'}` is missing")
    attached = section(sample, "attachments")
    question = _said(sample["input"], attached)
    options = sample.get("choices")
    options = sorted(map(str, options)) if isinstance(options, list) else []
    name = sample["id"] if isinstance(sample["id"], str) else ""
    score = section(section(sample, "scores"), scorer)
    target = sample.get("target", "")
    answer = score.get("answer")
    response = _response(sample, attached)
    return Row(
        content=digest([question, options, name]),
        id=str(sample["id"]),
        epoch=max(count(sample.get("epoch")), 1) - 1,
        value=math.nan if response.error else _value(score.get("value"), part),
        question=question,
        target=target if isinstance(target, str) else ", ".join(map(str, target)),
        answer=None if answer in (None, "") else str(answer),
        request=digest([question, options]),
        response=response,
    )


def _value(value: Any, part: str) -> float:
    """A score's value as a number: C, I, P and N as inspect counts them; NaN where it is none."""
    if part and isinstance(value, dict):
        value = value.get(part)
    if isinstance(value, str):
        known = LETTERS.get(value, WORDS.get(value.lower()))
        try:
            return float(value) if known is None else known
        except ValueError:
            return math.nan
    found = number(value)
    return math.nan if found is None else found


def _response(sample: Mapping[str, Any], attached: Mapping[str, Any]) -> Response:
    output, failed = section(sample, "output"), section(sample, "error")
    choices = output.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    first = first if isinstance(first, dict) else {}
    usage = section(output, "usage")
    reason = text(first, "stop_reason") or "unknown"
    cut = reason in CUT_OFF or bool(sample.get("limit"))
    return Response(
        text=_content(section(first, "message").get("content"), attached),
        finish_reason="length" if cut else reason,
        prompt_tokens=count(usage.get("input_tokens")),
        completion_tokens=count(usage.get("output_tokens")),
        error=(text(failed, "message") or "the sample failed") if failed else "",
    )


def _said(value: Any, attached: Mapping[str, Any]) -> str:
    """What the user says in an input: text, or the turns of a conversation."""
    if not isinstance(value, list):
        return _content(value, attached)
    turns = [turn for turn in value if isinstance(turn, dict) and turn.get("role") != "system"]
    return "\n\n".join(_content(turn.get("content"), attached) for turn in turns)


def _content(value: Any, attached: Mapping[str, Any]) -> str:
    """A message's text; a part that is not text stands as its hash."""
    if isinstance(value, list):
        return "\n".join(_part(part, attached) for part in value)
    found = "" if value is None else str(value)
    if found.startswith(ATTACHMENT):
        return str(attached.get(found.removeprefix(ATTACHMENT), found))
    return found


def _part(part: Any, attached: Mapping[str, Any]) -> str:
    if isinstance(part, dict) and part.get("type") in ("text", "reasoning"):
        return _content(part.get("text", part.get("reasoning")), attached)
    return digest(part).hex()
