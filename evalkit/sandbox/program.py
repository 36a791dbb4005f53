"""A program in the sandbox, from the side of evalkit: run source in it, call it, end it."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from evalkit.errors import SandboxError
from evalkit.sandbox import host
from evalkit.sandbox.examiner import HEADER, MOST_WORDS, TOKEN_BYTES, Forged
from evalkit.sandbox.host import Host
from evalkit.sandbox.limits import USUAL, Failed, Limits
from evalkit.sandbox.values import unpacked
from evalkit.sandbox.warden import STEP, USED

PART = 1 << 16
PATIENCE = 30.0  # seconds for the sandbox's own work: to start a program, or to clear up behind it


@dataclass(frozen=True, slots=True)
class Printed:
    """What a script wrote to its standard output, and its exit code."""

    text: str
    code: int


@contextmanager
def opened(limits: Limits = USUAL, where: Host | None = None) -> Iterator[Program]:
    """A program with nothing in it yet; ended, with all that it started, when left.

    Waits for a free processor.  Raises SandboxError where none can be started, and never for
    anything that a program does.
    """
    with host.slots(os.getpid()):
        program = _started(limits, where)
        try:
            yield program
        finally:
            program.close()


def printed(
    source: str, stdin: str = "", limits: Limits = USUAL, where: Host | None = None
) -> Printed:
    """Runs a script of its own on a standard input; raises Failed where a limit ends it."""
    taken, given = os.pipe()
    with host.slots(os.getpid()), tempfile.TemporaryFile() as typed, open(taken, "rb", 0) as output:
        typed.write(stdin.encode("utf-8", "replace"))
        typed.seek(0)
        try:
            program = _started(limits, where, typed.fileno(), given)
        finally:
            os.close(given)
        try:
            return program.script(source, output.fileno())
        finally:
            program.close()


def _started(limits: Limits, where: Host | None, *files: int) -> Program:
    """A program; a zygote that has died since it was last used is started again."""
    if where is not None:
        return Program(where, limits, *files)
    usual = host.current()
    try:
        return Program(usual, limits, *files)
    except SandboxError:
        return Program(host.current(instead_of=usual), limits, *files)


class Program:
    """One process of model code, and the lines to it and to its warden."""

    def __init__(self, where: Host, limits: Limits, *files: int) -> None:
        self.limits = limits
        self._talk, theirs = socket.socketpair()
        self._line, wardens = socket.socketpair()
        self._notes: dict[str, Any] = {}  # what the warden has said
        self._until = time.monotonic() + PATIENCE
        try:
            with theirs, wardens:
                where.launch(limits, [wardens.fileno(), theirs.fileno(), *files])
            self._expect_ready()
        except BaseException:
            self.close()
            raise
        self._until = time.monotonic() + limits.total

    def run(self, source: str, *, tests: bool = False) -> None:
        """Runs source in the program; raises Failed unless it comes to its end.

        What the calls in `tests` return is looked at before it is compared.
        """
        token = secrets.token_bytes(TOKEN_BYTES)
        answer = self._ask({"run": source, "tests": tests}, token)
        said = _object(answer)
        if said.get("token") != token.hex():
            raise _failed(said)

    def call(self, function: str, *arguments: Any) -> Any:
        """What a function of the program returns, as plain values; raises Failed if it does not.

        Arguments are what JSON can say; `Class.method` is called on the class.
        """
        answer = self._ask({"call": function, "arguments": arguments})
        said = _object(answer)
        if "raised" in said:
            raise _failed(said)
        try:
            return unpacked(answer)
        except ValueError as error:
            raise Failed("raised", str(error)) from None

    def script(self, source: str, output: int) -> Printed:
        """Runs source as the main program, which ends it; its output is read from a pipe."""
        self._send(json.dumps({"script": source}).encode())
        text = self._read(output, lambda _: False)
        self._read(self._talk.fileno(), lambda _: False)  # it is closed when the program has ended
        how = self._how_it_ended()
        if how["ended"] < 0:
            raise _death(how)
        return Printed(text.decode("utf-8", "replace"), how["ended"])

    def close(self) -> None:
        """Ends the program and waits until nothing is left of it."""
        self._talk.close()
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)
            self._line.settimeout(PATIENCE)
            while self._line.recv(PART):
                pass
        self._line.close()

    def _expect_ready(self) -> None:
        try:
            first = _object(self._frame())
        except Failed as error:
            raise SandboxError(self._notes.get("broken") or f"not ready: {error}") from None
        if "ready" not in first:
            raise SandboxError(f"a program cannot be confined: {first.get('broken')}")

    def _ask(self, request: dict[str, Any], token: bytes = b"") -> bytes:
        with suppress(OSError):  # that it is gone will be noticed
            self._line.sendall(STEP)
        self._send(json.dumps(request).encode(), token)
        return self._frame()

    def _send(self, data: bytes, token: bytes = b"") -> None:
        self._talk.settimeout(min(self.limits.clock, max(0.0, self._until - time.monotonic())))
        try:
            self._talk.sendall(HEADER.pack(len(data)) + data + token)
        except TimeoutError:
            raise Failed("timed out", "it does not listen") from None
        except OSError:
            raise _death(self._how_it_ended()) from None

    def _frame(self) -> bytes:
        """The program's next answer; raises Failed if it ends or a limit is reached instead."""
        found = self._read(self._talk.fileno(), _is_whole)
        if not _is_whole(found):
            raise _death(self._how_it_ended())
        return found[HEADER.size :]

    def _read(self, source: int, whole: Callable[[bytearray], bool]) -> bytes:
        """What comes from a descriptor until it is whole or closed, within the limits."""
        began = time.monotonic()
        until, look = min(began + self.limits.clock, self._until), began + self.limits.seconds
        found = bytearray()
        while not whole(found):
            ready = self._ready(source, min(until, look))
            now = time.monotonic()
            if source in ready:
                part = _part(source)
                if not part:
                    break
                found += part
                if len(found) > self.limits.output + HEADER.size:
                    raise Failed("too much output", f"over {self.limits.output} bytes")
            elif now >= until:
                raise Failed("timed out", f"{now - began:.0f} s by the clock")
            elif now >= look:
                look = now + self._left()
        return bytes(found)

    def _left(self) -> float:
        """Seconds of CPU time that the step still has; raises Failed if there are none."""
        self._notes.pop("used", None)
        with suppress(OSError):
            self._line.sendall(USED)
        deadline = time.monotonic() + PATIENCE
        while "used" not in self._notes and "ended" not in self._notes:
            self._hear(deadline)
        left = self.limits.seconds - float(self._notes.get("used", 0.0))
        if left <= 0:
            raise Failed("timed out", f"{self.limits.seconds:g} s of CPU time")
        return left

    def _ready(self, source: int, until: float) -> list[int]:
        return select.select([source], [], [], max(0.0, until - time.monotonic()))[0]

    def _hear(self, until: float) -> None:
        """Takes note of what the warden says next; raises SandboxError where it says no more."""
        if not self._ready(self._line.fileno(), until):
            raise SandboxError("the warden of a program does not answer")
        said = self._line.recv(PART)
        if not said:
            raise SandboxError(self._notes.get("broken") or "the warden of a program has gone")
        for line in said.splitlines():
            self._notes |= json.loads(line)

    def _how_it_ended(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while "ended" not in self._notes:
            self._hear(deadline)
        return self._notes


def _part(source: int) -> bytes:
    try:
        return os.read(source, PART)
    except ConnectionResetError:  # it ended without reading all that it was sent
        return b""


def _is_whole(data: bytes | bytearray) -> bool:
    size = HEADER.size
    return len(data) >= size and len(data) >= size + HEADER.unpack(data[:size])[0]


def _object(data: bytes) -> dict[str, Any]:
    """What a program said, if that is an object: it may say anything."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _failed(said: dict[str, Any]) -> Failed:
    words = str(said.get("raised", "it did not come to its end"))[:MOST_WORDS]
    return Failed("forged" if words.startswith(f"{Forged.__name__}: ") else "raised", words)


def _death(how: dict[str, Any]) -> Failed:
    """Why a program is gone that was not told to go."""
    if how.get("why"):
        return Failed("too much output", str(how["why"]))
    code = int(how["ended"])
    if code == -signal.SIGXCPU:
        return Failed("timed out", "CPU time")
    if code < 0:
        return Failed("ended", f"killed by {signal.Signals(-code).name}")
    return Failed("ended", f"exit code {code} before it was done")
