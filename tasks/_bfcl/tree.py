"""Parse trees of Java and JavaScript, from tree-sitter's grammars."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from evalkit.errors import EvalkitError

from .calls import Unreadable, bounded

if TYPE_CHECKING:
    from tree_sitter import Language, Node

Grammar = Literal["java", "javascript"]


@cache
def grammar(name: Grammar) -> Language:
    """A language's grammar; raises EvalkitError where its package is not there."""
    try:
        from tree_sitter import Language

        return Language(import_module(f"tree_sitter_{name}").language())
    except ImportError as error:
        raise EvalkitError(
            f"bfcl needs {error.name}: pip install 'posttrain-evalkit[benchmarks]'"
        ) from None


def parsed(name: Grammar, text: str) -> Node:
    """The root of a text's tree; raises Unreadable where the grammar does not allow the text.

    What is only missing, such as the semicolon after a statement, is forgiven.
    """
    from tree_sitter import Parser

    try:
        source = bounded(text).encode()
    except UnicodeEncodeError as error:
        raise Unreadable(str(error)) from None
    root = Parser(grammar(name)).parse(source).root_node
    if root.has_error and any(node.is_error for node in nodes(root)):
        raise Unreadable(f"not {name}")
    return root


def nodes(root: Node) -> Iterator[Node]:
    """Every node, each before what is in it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def argument_dict(pairs: Iterator[tuple[str | None, str]]) -> dict[str | None, str]:
    """The arguments by name; raises Unreadable where a name comes twice."""
    found: dict[str | None, str] = {}
    for name, value in pairs:
        if name in found:
            raise Unreadable(f"two arguments go by the name {name}")
        found[name] = value
    return found
