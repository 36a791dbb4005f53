"""Pieces of the OpenAI wire form that servers and recordings share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.grading.grade import THINK_END, THINK_START, without_thoughts
from evalkit.types import Response, ToolCall


def cut(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """The text up to the first stop string of the answer, and whether there was one.

    Servers differ; and a stop string within a thought stops nothing.
    """
    start = _after_thoughts(text)
    found = [at for at in (text.find(word, start) for word in stop if word) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _after_thoughts(text: str) -> int:
    """Where the answer begins, as graders read it; the end, where a thought is not closed."""
    closed = text.rfind(THINK_END)
    if closed < 0:
        return len(text) if text.lstrip().startswith(THINK_START) else 0
    start = closed + len(THINK_END)
    return start + len(text[start:]) - len(text[start:].lstrip("\n"))


def only_thought(response: Response) -> bool:
    """Whether an answer stopped after its thoughts, or within them, before anything was said."""
    thought = response.reasoning or THINK_START in response.text or THINK_END in response.text
    said = without_thoughts(response).text.strip() or response.tool_calls
    return bool(thought and not said) and response.finish_reason == "stop"


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
