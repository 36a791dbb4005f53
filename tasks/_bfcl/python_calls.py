"""Calls in Python's syntax: `[first(a=1), module.second(b=[2, 3])]`, parsed and never run."""

from __future__ import annotations

import ast
import operator
import threading
import warnings
from collections.abc import Callable
from typing import Any

from .calls import Call, Unreadable, bounded

MOST = 4096
"""What arithmetic in an answer may come to: bits of a number, items of a sequence."""

QUIET = threading.Lock()

OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
}
SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}


def calls(text: str) -> list[Call]:
    """The calls of a list, a tuple, a set, or alone; raises Unreadable for anything else."""
    try:
        body = _parsed(bounded(text).strip().strip("'"))
        if isinstance(body, ast.Call):
            return [_call(body)]
        if isinstance(body, ast.List | ast.Tuple | ast.Set):
            return [_call(element) for element in body.elts]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise Unreadable(str(error)) from None
    raise Unreadable(f"a {type(body).__name__}, not a list of calls")


def _parsed(text: str) -> ast.expr:
    """The expression that a text is, without warnings of escapes that Python does not know."""
    with QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval").body


def _call(node: ast.expr) -> Call:
    """A call; arguments without a name count for nothing."""
    if not isinstance(node, ast.Call):
        raise Unreadable(f"a {type(node).__name__}, not a call")
    return Call(_name(node.func), {each.arg: _value(each.value) for each in node.keywords})


def _name(node: ast.expr) -> str:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))


def _value(node: ast.expr | None) -> Any:
    """An argument's value; a name, a subscript or a call without named arguments is its text."""
    read = READERS.get(type(node))
    if read is None:
        raise Unreadable(f"a {type(node).__name__} as an argument")
    return read(node)


def _signed(node: ast.UnaryOp) -> Any:
    """A literal with a sign: upstream takes every one of them for a minus."""
    if not isinstance(node.operand, ast.Constant):
        raise Unreadable("a sign before what is no literal")
    value: Any = node.operand.value
    return -value


def _nested(node: ast.Call) -> Any:
    if not node.keywords:
        return ast.unparse(node)
    call = _call(node)
    return {call.name: dict(call.arguments)}


READERS: dict[type, Callable[[Any], Any]] = {
    ast.Constant: lambda node: "..." if node.value is Ellipsis else node.value,
    ast.UnaryOp: _signed,
    ast.List: lambda node: [_value(each) for each in node.elts],
    ast.Tuple: lambda node: tuple(_value(each) for each in node.elts),
    ast.Dict: lambda node: dict(zip(map(_value, node.keys), map(_value, node.values), strict=True)),
    ast.Name: lambda node: node.id,
    ast.Call: _nested,
    ast.Subscript: lambda node: f"{ast.unparse(node.value)}[{ast.unparse(node.slice)}]",
    ast.BinOp: lambda node: _computed(node),
}


def _computed(node: ast.expr) -> Any:
    """What arithmetic on literals comes to, within bounds."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=elements):
            return [_computed(element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_computed(element) for element in elements)
        case ast.UnaryOp(op=sign, operand=operand):
            return SIGNS[type(sign)](_computed(operand))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return _combined(type(op), _computed(left), _computed(right))
    raise Unreadable(f"a {type(node).__name__} in arithmetic")


def _combined(op: type[ast.operator], left: Any, right: Any) -> Any:
    if _growth(op, left, right) > MOST:
        raise Unreadable("arithmetic that comes to too much")
    try:
        return OPERATORS[op](left, right)
    except ArithmeticError as error:
        raise Unreadable(str(error)) from None


def _growth(op: type[ast.operator], left: Any, right: Any) -> int:
    """About how large a result is."""
    sizes = _size(left), _size(right)
    if op is ast.Mod and isinstance(left, str | bytes):  # a format may ask for any width
        return MOST + 1
    if op is ast.Pow and isinstance(right, int):
        return sizes[0] * abs(right)
    if op is ast.LShift and isinstance(right, int):
        return sizes[0] + abs(right)
    if op is ast.Mult and isinstance(right, int) and not isinstance(left, int):
        return sizes[0] * abs(right)
    if op is ast.Mult and isinstance(left, int) and not isinstance(right, int):
        return sizes[1] * abs(left)
    return sum(sizes)


def _size(value: Any) -> int:
    """Bits of a whole number, items of a sequence, those inside it included."""
    if isinstance(value, int):
        return value.bit_length()
    if isinstance(value, str | bytes):
        return len(value)
    return 1 + sum(map(_size, value)) if isinstance(value, list | tuple) else 0
