"""A call of a function, as it is read out of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST = 50_000
"""Characters of an answer that are read; what is longer is no call."""

DEEPEST = 200
"""Brackets that may be open at once, as in Python's own grammar."""


class Unreadable(Exception):
    """An answer, or a part of it, that is no call in the syntax asked for."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function's name and the arguments by name; None is the name of those without."""

    name: str
    arguments: Mapping[Any, Any]

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.name}({given})"


def bounded(text: str) -> str:
    """The text itself; raises Unreadable where parsers could run out of time or stack."""
    if len(text) > LONGEST:
        raise Unreadable(f"more than {LONGEST} characters")
    depth = 0
    for character in text:
        if character in "([{":
            depth += 1
            if depth > DEEPEST:
                raise Unreadable(f"more than {DEEPEST} open brackets")
        elif character in ")]}":
            depth = max(0, depth - 1)
    return text
