"""Pieces of the OpenAI wire form that servers and recordings share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.types import ToolCall


def cut(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The text up to the first stop string, and whether there was one: servers differ."""
    found = [at for at in (text.find(word) for word in stop if word) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)


def tool_calls(items: Any) -> tuple[ToolCall, ...]:
    """Calls as `{"function": {"name", "arguments"}}` or the inner part alone."""
    return tuple(_tool_call(item) for item in items or ())


def usage(item: Any) -> tuple[int, int]:
    """Tokens of the prompt and of the answer; 0 where they were not counted."""
    counts = item if isinstance(item, Mapping) else {}
    return int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0)


def _tool_call(item: Mapping[str, Any]) -> ToolCall:
    import orjson

    function = item.get("function", item)
    arguments = function.get("arguments") or ""
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    return ToolCall(str(function["name"]), arguments)
