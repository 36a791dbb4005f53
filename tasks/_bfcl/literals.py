"""What literals of Java and JavaScript have in common: numbers, and a bound on collections."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

LONGEST_COLLECTION = 2000
"""Characters of a collection that are looked into."""


def reader(pattern: re.Pattern[str], make: Callable[[str], Any]) -> Callable[[str], Any]:
    """Reads numbers of a form, without the letter of their type; other texts stay as they are."""

    def read(text: str) -> Any:
        try:
            return make(text.rstrip("lLfFn\n")) if pattern.match(text) else text
        except ValueError:  # more digits than Python reads
            return text

    return read


def boolean(text: str) -> Any:
    """A truth value; any other text stays as it is."""
    return {"true": True, "false": False}.get(text, text)


def number(text: str) -> Any:
    """A number as Python reads it; the text itself where it is none."""
    for make in (int, float):
        try:
            return make(text)
        except ValueError:
            continue
    return text
