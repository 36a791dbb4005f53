"""What a row of training data looks like: its columns, and what may stand in them.

Conversations are brought to one form here: `messages` become a prompt and the last answer, and a
preference between two whole conversations becomes the prompt they share and their two answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from evalkit.errors import ConfigError

Row: TypeAlias = dict[str, Any]
Shape: TypeAlias = tuple[str, ...]
"""The columns that a row must have."""

DEMONSTRATION: Shape = ("prompt", "completion")
PREFERENCE: Shape = ("prompt", "chosen", "rejected")
VERDICT: Shape = ("prompt", "completion", "label")
QUESTION: Shape = ("prompt",)
TEXT: Shape = ("text",)

ANSWERS = ("completion", "chosen", "rejected")
ASSISTANT = "assistant"


def shaped(row: Any, shapes: Sequence[Shape], where: str) -> Row:
    """The row in its one form; raises ConfigError unless it fits one of the shapes."""
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: not an object with named fields")
    found = _paired(_answered(row, where), where)
    shape = next((shape for shape in shapes if found.keys() >= set(shape)), None)
    if shape is None:
        wanted = " or ".join("/".join(shape) for shape in shapes)
        missing = next(name for name in shapes[0] if name not in found)
        raise ConfigError(f"{where}: the row has no {missing!r}; it has to have {wanted}")
    for name in shape:
        _check(found[name], name, f"{where}: {name!r}")
    return found


def _answered(row: Row, where: str) -> Row:
    """`messages` as what was asked and the answer that is learned."""
    if "messages" not in row or "completion" in row:
        return row
    rest = {name: value for name, value in row.items() if name != "messages"}
    talk = row["messages"]
    if not _is_talk(talk) or len(talk) < 2 or talk[-1].get("role") != ASSISTANT:
        raise ConfigError(f"{where}: messages have to end with an answer of the assistant")
    return {**rest, "prompt": talk[:-1], "completion": talk[-1:]}


def _paired(row: Row, where: str) -> Row:
    """Two whole conversations as the prompt that they share and an answer each."""
    chosen: Any = row.get("chosen")
    rejected: Any = row.get("rejected")
    if not _is_talk(chosen) or not _is_talk(rejected) or chosen[0].get("role") == ASSISTANT:
        return row
    shared = next(
        (i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b),
        min(len(chosen), len(rejected)),
    )
    if not shared or shared in (len(chosen), len(rejected)):
        raise ConfigError(f"{where}: chosen and rejected have to differ in their answer only")
    parts = {"prompt": chosen[:shared], "chosen": chosen[shared:], "rejected": rejected[shared:]}
    return {**row, **parts}


def _check(value: Any, name: str, where: str) -> None:
    if name == "label":
        if value not in (True, False):
            raise ConfigError(f"{where} has to be true or false, not {value!r}")
    elif isinstance(value, str):
        if not value.strip():
            raise ConfigError(f"{where} is empty")
    elif name == "text" or not _is_talk(value):
        wanted = "a text" if name == "text" else "a text or a list of messages"
        raise ConfigError(f"{where} has to be {wanted}, not {type(value).__name__}")
    else:
        _check_talk(value, name, where)


def _check_talk(talk: Sequence[Mapping[str, Any]], name: str, where: str) -> None:
    for number, turn in enumerate(talk, 1):
        if not isinstance(turn.get("role"), str):
            raise ConfigError(f"{where}: message {number} has no role")
        if not isinstance(turn.get("content"), str) and not turn.get("tool_calls"):
            raise ConfigError(f"{where}: the content of message {number} has to be a text")
    if name in ANSWERS:
        last = talk[-1]
        if last["role"] != ASSISTANT:
            raise ConfigError(f"{where} has to end with an answer of the assistant")
        if not (last.get("content") or "").strip() and not last.get("tool_calls"):
            raise ConfigError(f"{where} is empty")


def _is_talk(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) for turn in value)
