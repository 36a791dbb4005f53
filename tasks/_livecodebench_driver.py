"""How LiveCodeBench's authors run a program, re-built: sent into the sandbox and run there.

As `lcb_runner/evaluation/testing_util.py` at 28fef95 does it, its oddities included, since programs
pass or fail by them: one that reads its input becomes a function that is called for each test,
what it imports is imported once, `sys.stdin` is an object that cannot be iterated over, and
whatever was bound to the real streams before a test is not redirected.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

STARS = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "io", "sys", "json", "builtins"),
    "typing",
)
NAMES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random"),
    *("statistics", "itertools", "functools", "operator", "io", "sys", "json"),
)
BEFORE = "\n".join(
    [
        *(f"from {name} import *" for name in STARS),
        *(f"import {name}" for name in NAMES),
        "sys.setrecursionlimit(50000)",
        "",
    ]
)
MOST_DIGITS = 50_000
ABSENT = ("ipdb", "joblib", "resource", "psutil", "tkinter")
TAKEN = {
    builtins: ("quit", "help"),
    os: (
        *("kill", "killpg", "system", "fork", "forkpty", "putenv", "setuid", "chroot", "getcwd"),
        *("chdir", "fchdir", "remove", "removedirs", "rmdir", "unlink", "rename", "renames"),
        *("replace", "truncate", "chmod", "fchmod", "lchmod", "chown", "fchown", "lchown"),
    ),
    shutil: ("rmtree", "move", "chown"),
    subprocess: ("Popen",),
}
"""What the authors take away before a program runs: none of it can be called."""
MAIN, METHOD = "wrapped_function", "method"

loaded: dict[str, Any] = {}


def load(code: str, name: str) -> None:
    """Takes in a program: the function or method of that name, or what reads standard input."""
    sys.set_int_max_str_digits(MOST_DIGITS)
    if "numpy" in code:  # the authors' process has it already, and it needs what is taken away
        with suppress(ImportError):
            importlib.import_module("numpy")
    for absent in ABSENT:
        sys.modules[absent] = None  # type: ignore[assignment]  # it cannot be imported
    for module, names in TAKEN.items():
        vars(module).update(dict.fromkeys(names))
    whole = f"{BEFORE}\n\n{code}" if name else _as_function(_without_guard(code))
    space = ModuleType("tmp_sol", "")
    exec(compile(whole, "<program>", "exec", dont_inherit=True), vars(space))
    holder = space.Solution() if "class Solution" in whole else space
    loaded[METHOD] = getattr(holder, name or MAIN)


def returned(arguments: str) -> Any:
    """What the method returns for arguments, each a line of JSON."""
    value = loaded[METHOD](*[json.loads(line) for line in arguments.split("\n")])
    return list(value) if isinstance(value, tuple) else value


def printed(given: str) -> str:
    """What the program prints when it is given that on its standard input."""
    output = io.StringIO()
    vars(output)["close"] = lambda _: 1
    real_input, real_output, real_open = sys.stdin, sys.stdout, builtins.open
    lines = iter(given.split("\n"))
    bound = {
        "readline": lambda *_: next(lines),
        "readlines": lambda *_: given.split("\n"),
        "read": lambda *_: given,
    }
    try:
        vars(real_input).update(bound)
        sys.stdin, sys.stdout = _Input(given), output
        builtins.open = lambda *_, **__: io.StringIO(given)  # type: ignore[assignment]
        loaded[METHOD]()
    except SystemExit:
        pass
    finally:
        builtins.open, sys.stdin, sys.stdout = real_open, real_input, real_output
        for name in bound:
            vars(real_input).pop(name, None)
    return output.getvalue()


class _Input:
    """What `sys.stdin` is for a program: lines can be read from it, but not by a loop over it."""

    def __init__(self, given: str) -> None:
        self._given = given
        self._lines = io.StringIO(given)
        self.buffer = _Bytes(given)

    def read(self, *_: Any) -> str:
        return self._given

    def readline(self, *size: Any) -> str:
        return self._lines.readline(*size)

    def readlines(self, *_: Any) -> list[str]:
        return self._given.split("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)


class _Bytes:
    """What `sys.stdin.buffer` is: all of the input, or its first line however often it is asked."""

    def __init__(self, given: str) -> None:
        self._given = given.encode()

    def read(self, *_: Any) -> bytes:
        return self._given

    def readline(self, *_: Any) -> bytes:
        return self._given.split(b"\n")[0] + b"\n"


def _without_guard(code: str) -> str:
    """The program with the body of its last statement in place of an `if __name__ == …` there."""
    try:
        body = ast.parse(code).body
        last = body[-1]
        if isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'":
            return f"{_unparsed(body[:-1])}\n{_unparsed(last.body)}"
    except Exception:
        pass
    return code


def _as_function(code: str) -> str:
    """The imports of a program, and all the rest of it as one function; or what there was."""
    try:
        body = ast.parse(code).body
        imports = [each for each in body if isinstance(each, ast.Import | ast.ImportFrom)]
        rest = [each for each in body if each not in imports]
        function = ast.parse(f"def {MAIN}(): pass").body[0]
        assert isinstance(function, ast.FunctionDef)
        function.body = rest
        return f"{BEFORE}\n{_unparsed(imports)}\n{ast.unparse(function)}"
    except Exception:
        return code


def _unparsed(statements: list[Any]) -> str:
    return "\n".join(map(ast.unparse, statements))
