"""Whether an answer equals a number or an expression, told by math-verify in a process of its own.

math-verify needs the main thread of a process, and what it computes for a model may take for ever,
or all memory: the process has its bounds, and is replaced when it does not answer in time.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.processes.children import end_with

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

SECONDS = 10.0
STEP_SECONDS = 3  # of reading, and of comparing; math-verify keeps to it where it can
START_SECONDS = 60.0
MEMORY = 2**31
"""Bytes of address space; math-verify with sympy takes a tenth of it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was read of an answer and whether it equals the target."""

    answer: str | None = None  # None: nothing mathematical was found
    equal: bool = False
    timed_out: bool = False


class Verifier:
    """One process of math-verify, started when it is first asked; answers one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._line: Connection | None = None

    def verify(self, text: str, target: str, seconds: float = SECONDS) -> Verified:
        """What math-verify reads in the text, held against the target."""
        with self._lock:
            for _ in range(2):  # the first may find a process that has ended since
                line = self._connected()
                try:
                    line.send((text, target))
                    if not line.poll(seconds):
                        self._end()
                        return Verified(timed_out=True)
                    found: Verified = line.recv()
                    return found
                except (EOFError, OSError):
                    self._end()
        return Verified(timed_out=True)  # out of memory, twice

    def _connected(self) -> Connection:
        if self._line is None:
            from multiprocessing import get_context

            context = get_context("spawn")
            self._line, other = context.Pipe()
            process = context.Process(target=_serve, args=(other, os.getpid()), daemon=True)
            process.start()
            self._process = process
            other.close()
            with suppress(EOFError, OSError):
                if self._line.poll(START_SECONDS):
                    self._line.recv()  # it has imported what it needs
        return self._line

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._line = None


_VERIFIER = Verifier()


def verify(text: str, target: str) -> Verified:
    """What math-verify reads in the text, held against the target, within a time limit."""
    return _VERIFIER.verify(text, target)


def _serve(line: Connection, parent: int) -> None:
    """What the process does: answers until nobody asks any more."""
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bounded()
    import logging

    import math_verify  # noqa: F401  # imported before the time of an answer is counted

    logging.disable(logging.CRITICAL)  # its warnings quote answers
    line.send(True)
    while True:
        try:
            text, target = line.recv()
        except EOFError:
            return
        line.send(_verified(text, target))


def _bounded() -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _verified(text: str, target: str) -> Verified:
    from math_verify import parse, verify

    try:
        found = parse(text, parsing_timeout=STEP_SECONDS)
        equal = bool(found) and verify(parse(target), found, timeout_seconds=STEP_SECONDS)
    except Exception:  # whatever a model's mathematics comes to
        return Verified()
    return Verified(_shown(found), equal)


def _shown(found: list[object]) -> str | None:
    """What was read, as short text: the last form that math-verify gives is the text itself."""
    return str(found[-1])[:200] if found else None
