"""JavaScript: a call with named arguments (`f(a=1, b='x')`), and its literals to values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .calls import Call, Unreadable
from .literals import LONGEST_COLLECTION, boolean, number, reader
from .tree import argument_dict, parsed

if TYPE_CHECKING:
    from tree_sitter import Node

TYPES: dict[str, type] = {
    "String": str,
    "integer": int,
    "float": float,
    "Bigint": int,
    "Boolean": bool,
    "dict": dict,
    "array": list,
    "any": str,
}
"""The types that the benchmark's JavaScript functions have, each with that of its values."""

WHOLE = re.compile(r"-?\d+$")
DECIMAL = re.compile(r"-?\d+(\.\d+)?$")
BIG = re.compile(r"-?\d+n$")
ARRAY = re.compile(r"\[(.*?)\]|\bnew\s+Array\((.*?)\)")
OPENED = re.compile(r"(\[|\bnew\s+Array\()\s*\[")
INSIDE = re.compile(r"\[(.*?)\]")
NEXT = re.compile(r"\s*,\s*\[")
SPACE = re.compile(r"\s*")
OBJECT = re.compile(r"\{(.*?)\}")
PAIR = re.compile(r"([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)")


def calls(text: str) -> list[Call]:
    """The first call that is a statement; raises Unreadable where there is none."""
    for statement in parsed("javascript", text).children:
        for node in statement.children if statement.type == "expression_statement" else ():
            if node.type == "call_expression":
                name, given = node.children[:2]
                return [Call(_text(name), argument_dict(_arguments(given)))]
    raise Unreadable("no call")


def _arguments(given: Node) -> Iterator[tuple[str | None, str]]:
    for child in given.children:
        if child.type == "assignment_expression":
            name, _, value = child.children[:3]
            yield _text(name), unquoted(_text(value))
        elif child.type in ("identifier", "true"):
            yield None, _text(child)


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def unquoted(text: str) -> str:
    """A text without the pair of quotes around it."""
    paired = any(text.startswith(quote) and text.endswith(quote) for quote in "\"'")
    return text[1:-1] if paired else text


def value(text: str, declared: str, element: str = "") -> Any:
    """A literal as a value of its type; the text itself where it is no literal of that type."""
    read = READERS.get(declared)
    if read:
        return read(text)
    text = text.strip() if declared in ("array", "dict") else text
    if len(text) > LONGEST_COLLECTION:
        return text
    if declared == "array":
        return _array(text, element)
    return _object(text) if declared == "dict" else text


READERS: dict[str, Callable[[str], Any]] = {
    "String": unquoted,
    "integer": reader(WHOLE, int),
    "float": reader(DECIMAL, float),
    "Bigint": reader(BIG, int),
    "Boolean": boolean,
}


def _array(text: str, element: str = "") -> Any:
    if end := _end_of_rows(text):
        first, *rest = (inside.strip() for inside in INSIDE.findall(text[:end]))
        rows = [first.removeprefix("["), *rest]
        return [[untyped(part) for part in row.split(",")] for row in rows]
    found = ARRAY.match(text)
    if not found:
        return text
    inside = (found[1] if found[1] is not None else found[2]).strip()
    parts = [part.strip() for part in inside.split(",")] if inside else []
    return [value(part, element) if element else untyped(part) for part in parts]


def _end_of_rows(text: str) -> int:
    """Where an array of arrays ends; 0 where the text begins with none.

    An inner array may hold anything on its line, brackets too: of all ways to read the text the
    one counts that closes each inner array as early as it can, and the outer one as late.  From
    the back, so that no text takes more than quadratic time.
    """
    opened = OPENED.match(text)
    if not opened:
        return 0
    outer = "]" if opened[1] == "[" else ")"
    closings = [at for at, character in enumerate(text) if character == "]"]
    end_after: dict[int, int] = {}

    def first_end(start: int) -> int:
        line = text.find("\n", start)
        within = (at for at in closings if at >= start and (line < 0 or at < line))
        return next((end_after[at] for at in within if end_after[at]), 0)

    for at in reversed(closings):
        following = NEXT.match(text, at + 1)
        place = SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
        closed = place + 1 if text[place : place + 1] == outer else 0
        end_after[at] = (first_end(following.end()) if following else 0) or closed
    return first_end(opened.end())


def _object(text: str) -> Any:
    found = OBJECT.match(text)
    if not found:
        return text
    return {key.strip().strip("'\""): _member(each.strip()) for key, each in PAIR.findall(found[1])}


def _member(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return _array(text)
    return untyped(text.strip("'\""))


def untyped(text: str) -> Any:
    """A literal of a type that only its form tells."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    return unquoted(text) if unquoted(text) != text else number(text)
