"""Answers to calls: what a model wrote, or what its server read as calls of tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

from evalkit.types import Response, ToolCall

from . import java, javascript, python_calls
from .calls import Call, Unreadable, bounded

Language = Literal["python", "java", "javascript"]

SYNTAX: dict[Language, Callable[[str], list[Call]]] = {
    "python": python_calls.calls,
    "java": lambda text: java.calls(text[1:-1]),
    "javascript": lambda text: javascript.calls(text[1:-1]),
}
OPENED, CLOSED = "<tool_call>", "</tool_call>"


def prompted(response: Response, language: Language) -> list[Call]:
    """The calls that a text consists of, in a list or not; raises Unreadable if there is more."""
    text = response.text.strip("`\n ")
    text = text if text.startswith("[") else f"[{text}"
    text = text if text.endswith("]") else f"{text}]"
    try:
        return SYNTAX[language](text)
    except RecursionError:
        raise Unreadable("nested too deeply") from None


def native(response: Response, language: Language = "python") -> list[Call]:
    """The calls of tools, whatever the language: their arguments are JSON.

    Where the engine has left them in the text they are read there, in the form that Hermes and
    Qwen models are trained to write: one JSON object between `<tool_call>` tags for each.
    """
    if response.tool_calls:
        return [_tool_call(call) for call in response.tool_calls]
    tagged = (part.partition(CLOSED) for part in response.text.split(OPENED)[1:])
    return [_tagged(_json(inside)) for inside, closed, _ in tagged if closed]


def _tool_call(call: ToolCall) -> Call:
    arguments = _json(call.arguments)
    if not isinstance(arguments, dict):
        raise Unreadable(f"the arguments of {call.name[:80]} are no object")
    return Call(call.name, arguments)


def _tagged(found: Any) -> Call:
    name, arguments = (
        (found.get("name"), found.get("arguments")) if isinstance(found, dict) else (None, None)
    )
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise Unreadable("a <tool_call> without a name and arguments")
    return Call(name, arguments)


def _json(text: str) -> Any:
    try:
        return json.loads(bounded(text))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from None


def written(calls: Sequence[Call]) -> str:
    """Calls as a line of Python, for people."""
    return f"[{', '.join(map(str, calls))}]"
