"""Java: a call with named arguments (`f(a=1, b="x")`), and its literals to values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .calls import Call, Unreadable
from .literals import LONGEST_COLLECTION, boolean, number, reader
from .tree import argument_dict, nodes, parsed

if TYPE_CHECKING:
    from tree_sitter import Node

TYPES: dict[str, type] = {
    **dict.fromkeys(("byte", "short", "integer", "long"), int),
    **dict.fromkeys(("float", "double"), float),
    "boolean": bool,
    **dict.fromkeys(("char", "String", "any"), str),
    **dict.fromkeys(("Array", "ArrayList"), list),
    "HashMap": dict,
}
"""The types that the benchmark's Java functions have, each with that of its values."""

WHOLE = re.compile(r"-?\d+$")
LONG = re.compile(r"-?\d+[lL]$")
DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?$")
SINGLE = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?[fF]$")

MARKS = ("(", ",", ")")

ARRAY = re.compile(r"new\s+\w+\[\]\s*\{(.*?)\}")
LISTED = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")
ADDING = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{")
ADD = re.compile(r"add\((.+?)\)")
NO_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
MAP = re.compile(r"new\s+HashMap<")
FILLED = re.compile(r">\s*\(\)\s*\{\s*\{?\s*")
NO_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)")
PUT = re.compile(r'put\("(.*?)",\s*(.*?)\)')


def calls(text: str) -> list[Call]:
    """The first call in a text; raises Unreadable where there is none.

    Places in the tree count bytes and are applied to characters, as upstream does: beyond the
    first character that is not ASCII its texts are shifted, and so are these.
    """
    for node in nodes(parsed("java", text)):
        if node.type == "method_invocation":
            return [_call(node, text)]
    raise Unreadable("no call")


def _call(node: Node, source: str) -> Call:
    owner, name = node.child_by_field_name("object"), node.child_by_field_name("name")
    given = node.child_by_field_name("arguments")
    if name is None or given is None:
        raise Unreadable("no call")
    parts = [_text(part, source) for part in (owner, name) if part]
    return Call(".".join(parts), argument_dict(_arguments(given, source)))


def _arguments(given: Node, source: str) -> Iterator[tuple[str | None, str]]:
    for child in given.children:
        if child.type == "assignment_expression":
            name, _, value = child.children[:3]
            yield _text(name, source), _argument(value, source)
        elif child.type in ("identifier", "class_literal"):
            yield None, _text(child, source)


def _text(node: Node, source: str) -> str:
    return source[node.start_byte : node.end_byte]


def _argument(node: Node, source: str) -> str:
    """An argument as text, a string or a character without its quotes."""
    if node.type in ("string_literal", "character_literal"):
        return _text(node, source)[1:-1]
    return _inner(node, source)


def _inner(node: Node | None, source: str) -> str:
    """A part of an argument as text, without the space between tokens or a class's body."""
    if node is None:
        raise Unreadable("an array without its elements")
    if node.type == "array_creation_expression":
        kind, elements = node.child_by_field_name("type"), node.child_by_field_name("value")
        return f"new {_inner(kind, source)}[]{_inner(elements, source)}"
    if node.type == "object_creation_expression":
        given = node.child_by_field_name("arguments")
        inside = (
            [child for child in given.children if child.type not in ("(", ",", ")")]
            if given
            else []
        )
        arguments = ", ".join(_inner(child, source) for child in inside)
        return f"new {_inner(node.child_by_field_name('type'), source)}({arguments})"
    whole = ("string_literal", "character_literal", "class_literal", "method_invocation")
    if node.type in whole or not node.children:
        return _text(node, source)
    return "".join(_inner(child, source) for child in node.children)


def value(text: str, declared: str, element: str = "") -> Any:
    """A literal as a value of its type; the text itself where it is no literal of that type."""
    read = READERS.get(declared)
    if read:
        return read(text)
    if declared in ("ArrayList", "Array", "HashMap") and len(text) > LONGEST_COLLECTION:
        return text
    if declared == "ArrayList":
        return _array_list(text, element)
    if declared == "Array":
        return _array(text, element)
    return _hash_map(text) if declared == "HashMap" else text


READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("byte", "short", "integer"), reader(WHOLE, int)),
    "long": reader(LONG, int),
    "double": reader(DECIMAL, float),
    "float": reader(SINGLE, float),
    "boolean": boolean,
}


def _array(text: str, element: str) -> Any:
    found = ARRAY.search(text)
    if not found:
        return text
    return [value(part.strip(), element) for part in found[1].split(",") if part.strip()]


def _array_list(text: str, element: str) -> Any:
    if found := LISTED.search(text):
        return [_element(part.strip(), element) for part in found[1].split(",")]
    opened = ADDING.search(text)
    if opened and (end := text.find("}}", opened.end() + 1)) >= 0:
        added = ADD.findall(text[opened.end() : end])
        return [_element(part.strip(), element) for part in added]
    return [] if NO_LIST.search(text) else text


def _element(text: str, element: str) -> Any:
    return text[1:-1] if element in ("char", "String") else value(text, element)


def _hash_map(text: str) -> Any:
    """The `put`s between the first brace and the first one that closes."""
    start = MAP.search(text)
    opened = FILLED.search(text, start.end()) if start else None
    if opened and (end := text.find("}", opened.end())) >= 0:
        puts = PUT.findall(text[opened.end() : end])
        return {key: untyped(each.strip()) for key, each in puts}
    return {} if NO_MAP.search(text) else text


def untyped(text: str) -> Any:
    """A literal of a type that only its form tells."""
    if text in ("true", "false"):
        return text == "true"
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    for declared in ("long", "float"):
        found = value(text, declared)
        if found is not text:
            return found
    return number(text)
