"""The examiner: runs what evalkit sends, in the program's own process, and says what came of it.

It shares its interpreter with model code, so its word is trusted as little as possible: that
source ran to its end is believed only with a token that it reads from its line afterwards, and a
value is only data that evalkit compares itself.
"""

from __future__ import annotations

import ast
import json
import os
import struct
import sys
from contextlib import suppress
from functools import cache
from types import FunctionType
from typing import Any, NoReturn

from evalkit.sandbox.values import packed

PROGRAM, TESTS = "<program>", "<tests>"
TOKEN_BYTES = 16
MOST_WORDS = 300  # characters of an error that are passed on
HEADER = struct.Struct("!I")

SPEAKING = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__sub__",
            "__rsub__", "__float__", "__contains__")  # fmt: skip
"""Methods by which an answer could speak for itself in a test."""

CALL = "_evalkit_called"


class Forged(Exception):
    """A test was given an object that brings its own comparison along."""


def serve(line: int) -> None:
    """Answers requests until the line is closed."""
    space: dict[str, Any] = {}
    sys.argv = ["program"]
    while (request := _read(line)) is not None:
        what = json.loads(request)
        if "script" in what:
            _main(what["script"])
        _answer(line, space, what)


def reply(line: int, what: dict[str, Any]) -> None:
    """Sends one answer."""
    send(line, json.dumps(what).encode())


def send(line: int, data: bytes) -> None:
    """Sends bytes with their number before them."""
    rest = memoryview(HEADER.pack(len(data)) + data)
    while rest:
        rest = rest[os.write(line, rest) :]


def _answer(line: int, space: dict[str, Any], request: dict[str, Any]) -> None:
    calls = "call" in request
    try:
        if calls:
            answer = packed(_function(space, request["call"])(*request["arguments"]))
        elif request["tests"]:
            _run_tests(request["run"], space)
        else:
            _run(request["run"], space)
    except BaseException as error:
        answer = json.dumps({"raised": _words(error)}).encode()
        if not calls:
            _exactly(line, TOKEN_BYTES)
    else:
        if not calls:
            answer = json.dumps({"token": _exactly(line, TOKEN_BYTES).hex()}).encode()
    send(line, answer)


def _main(source: str) -> NoReturn:
    """Runs source as an interpreter would that was given it as a file."""
    code = 0
    try:
        _run(source, {"__name__": "__main__"})
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        code = 1
    with suppress(BaseException):
        sys.stdout.flush()
    os._exit(code & 0xFF)


def _run(source: str, space: dict[str, Any]) -> None:
    exec(compile(source, PROGRAM, "exec", dont_inherit=True), space)


def _run_tests(source: str, space: dict[str, Any]) -> None:
    """Runs tests, looking at what the calls in them return before it is compared."""
    tree = ast.fix_missing_locations(_Watched().visit(ast.parse(source, TESTS)))
    space[CALL] = called
    exec(compile(tree, TESTS, "exec", dont_inherit=True), space)


class _Watched(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return ast.Call(ast.Name(CALL, ast.Load()), [node.func, *node.args], node.keywords)


def called(function: Any, /, *arguments: Any, **named: Any) -> Any:
    """What a call returns, unless that has comparisons which the program wrote."""
    value = function(*arguments, **named)
    if not isinstance(function, type) and _speaks(value):
        raise Forged(f"a {type(value).__name__} that brings its own comparison")
    return value


def _speaks(value: Any) -> bool:
    kind: Any = type(value)
    if kind in (list, tuple, set, frozenset):
        return any(_speaks(each) for each in value)
    if kind is dict:
        return any(_speaks(each) for pair in value.items() for each in pair)
    return _of_its_own(kind) and not isinstance(value, type)


@cache
def _of_its_own(kind: Any) -> bool:
    """Whether objects of this type have comparisons that were written in the program."""
    methods = (vars(base).get(name) for base in kind.__mro__ for name in SPEAKING)
    return any(
        isinstance(method, FunctionType) and method.__code__.co_filename == PROGRAM
        for method in methods
    )


def _function(space: dict[str, Any], name: str) -> Any:
    found: Any = space
    for part in name.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    return found


def _words(error: BaseException) -> str:
    words = type(error).__name__
    with suppress(BaseException):
        words += f": {error}" if str(error) else ""
    return words[:MOST_WORDS]


def _read(line: int) -> bytes | None:
    header = _exactly(line, HEADER.size)
    if len(header) < HEADER.size:
        return None
    return _exactly(line, HEADER.unpack(header)[0])


def _exactly(line: int, size: int) -> bytes:
    parts, missing = [], size
    while missing:
        part = os.read(line, min(missing, 1 << 20))
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
