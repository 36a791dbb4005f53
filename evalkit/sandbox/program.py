"""A program in the sandbox, from the side of evalkit: run source in it, call it, end it."""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from evalkit.errors import SandboxError
from evalkit.sandbox import host
from evalkit.sandbox.answers import PART, death, failed, is_whole, object_of, part_of
from evalkit.sandbox.examiner import HEADER, TOKEN_BYTES
from evalkit.sandbox.host import Host
from evalkit.sandbox.limits import USUAL, Failed, Limits
from evalkit.sandbox.values import unpacked
from evalkit.sandbox.warden import STEP, USED

PATIENCE = 30.0  # seconds for the sandbox's own work: to start a program, or to clear up behind it
OURS = Limits(seconds=PATIENCE, clock=PATIENCE)


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
    with host.slots(os.getpid()), tempfile.TemporaryFile() as typed:
        typed.write(stdin.encode("utf-8", "replace"))
        typed.seek(0)
        taken, given = os.pipe()
        with open(taken, "rb", 0) as output:
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
        usual.settle()
        return Program(host.current(), limits, *files)


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
        said = object_of(answer)
        if said.get("token") != token.hex():
            raise failed(said)

    def call(self, function: str, *arguments: Any) -> Any:
        """What a function of the program returns, as plain values; raises Failed if it does not.

        Arguments are what JSON can say; `Class.method` is called on the class.
        """
        answer = self._ask({"call": function, "arguments": arguments})
        said = object_of(answer)
        if "raised" in said:
            raise failed(said)
        try:
            return unpacked(answer)
        except ValueError as error:
            raise Failed("raised", str(error)) from None

    def script(self, source: str, output: int) -> Printed:
        """Runs source as the main program, which ends it; its output is read from a pipe."""
        self._send(json.dumps({"script": source}).encode())
        text = self._read(output, lambda _: False, self.limits)
        self._read(self._talk.fileno(), lambda _: False, self.limits)  # closed when it has ended
        how = self._how_it_ended()
        if how["ended"] < 0:
            raise death(how)
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
            first = object_of(self._frame(OURS))
        except Failed as error:
            raise SandboxError(self._notes.get("broken") or f"not ready: {error}") from None
        if "ready" not in first:
            raise SandboxError(f"a program cannot be confined: {first.get('broken')}")

    def _ask(self, request: dict[str, Any], token: bytes = b"") -> bytes:
        with suppress(OSError):  # that it is gone will be noticed
            self._line.sendall(STEP)
        self._send(json.dumps(request).encode(), token)
        return self._frame(self.limits)

    def _send(self, data: bytes, token: bytes = b"") -> None:
        left = self._until - time.monotonic()
        self._talk.settimeout(max(0.01, min(self.limits.clock, left)))
        try:
            self._talk.sendall(HEADER.pack(len(data)) + data + token)
        except TimeoutError:
            raise Failed("timed out", "it does not listen") from None
        except OSError:
            raise death(self._how_it_ended()) from None

    def _frame(self, limits: Limits) -> bytes:
        """The program's next answer; raises Failed if it ends or a limit is reached instead."""
        found = self._read(self._talk.fileno(), is_whole, limits)
        if not is_whole(found):
            raise death(self._how_it_ended())
        return found[HEADER.size :]

    def _read(self, source: int, whole: Callable[[bytearray], bool], limits: Limits) -> bytes:
        """What comes from a descriptor until it is whole or closed, within the limits."""
        began = now = time.monotonic()
        until, look = min(began + limits.clock, self._until), began + limits.seconds
        found = bytearray()
        while not whole(found):
            if now >= until:
                raise Failed("timed out", f"{now - began:.0f} s by the clock")
            if now >= look:
                look = now + self._left()
            if _ready(source, min(until, look)):
                part = part_of(source)
                if not part:
                    break
                found += part
            if len(found) > limits.output + HEADER.size:
                raise Failed("too much output", f"over {limits.output} bytes")
            now = time.monotonic()
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

    def _hear(self, until: float) -> None:
        """Takes note of what the warden says next; raises SandboxError where it says no more."""
        if not _ready(self._line.fileno(), until):
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


def _ready(source: int, until: float) -> bool:
    """Waits until there is something to be read, or the time has come."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))
