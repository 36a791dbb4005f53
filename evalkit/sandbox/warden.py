"""The warden: one process for a processor, which runs one program after the other.

It starts a program, watches it, ends it and clears up behind it.  It hears single bytes from
evalkit (a step begins; how much CPU time has that step used?) and ends the program when that line
is closed, so that nothing survives whoever asked for it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import tempfile
from contextlib import suppress
from typing import Any, NoReturn

from evalkit.sandbox import examiner, kernel, remains, room
from evalkit.sandbox.confine import Walls, confine
from evalkit.sandbox.limits import Limits

FOLDER = "evalkit-program-"
STEP, USED = b"s", b"u"
LOOK_SECONDS = 0.2  # how often a folder on disk is measured
ASIDE = 1000  # descriptors from here on are free
MOST_DESCRIPTORS = 4  # the warden's line, the program's, its input and its output


class Warden:
    """Runs the programs that are asked for on a line."""

    def __init__(self, walls: Walls, user: int, disk: str) -> None:
        self.walls = walls
        self.user = user  # that its programs run as
        self.disk = disk  # where their folders are made, if not in a room
        self._woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if not walls.namespaces:
            kernel.set_process(kernel.SUBREAPER, 1)

    def serve(self, line: socket.socket) -> None:
        """Takes one program after the other until the line is closed."""
        while True:
            job, fds, _, _ = socket.recv_fds(line, 1 << 16, MOST_DESCRIPTORS)
            if not job:
                return
            with socket.socket(fileno=fds[0]) as answers:
                self.guard(Limits(**json.loads(job)), answers, fds[1:])

    def guard(self, limits: Limits, line: socket.socket, fds: list[int]) -> None:
        """Runs one program to its end; `fds` are its own line, its input and its output."""
        folder = ""
        try:
            folder = self._folder()
            program = self._start(limits, folder, fds)
            measured = "" if self.walls.namespaces else folder
            _say(line, **self._watch(program, line, measured, limits.files))
        except OSError as error:
            _say(line, broken=f"{error.strerror or error}")
        finally:
            if not self.walls.namespaces:
                remains.end_descendants()
                remains.remove(folder)

    def _folder(self) -> str:
        """The private folder of the next program, outside a room made on the spot."""
        if self.walls.namespaces:
            return room.PRIVATE
        folder = tempfile.mkdtemp(prefix=FOLDER, dir=self.disk)
        os.chown(folder, self.user, self.user if self.walls.user else os.getgid())
        return folder

    def _start(self, limits: Limits, folder: str, fds: list[int]) -> int:
        """Forks the program."""
        try:
            program = room.fork() if self.walls.namespaces else os.fork()
            if program == 0:
                self._become(limits, folder, fds)
            return program
        finally:
            for fd in fds:
                os.close(fd)

    def _become(self, limits: Limits, folder: str, fds: list[int]) -> NoReturn:
        """Turns this process into the program."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            talk = _arrange(*fds)
            try:
                if self.walls.namespaces:
                    room.private_folder(limits.files, self.user)
                confine(self.walls, limits, self.user, folder)
            except OSError as error:
                examiner.reply(talk, {"broken": str(error)})
            else:
                examiner.reply(talk, {"ready": True})
                examiner.serve(talk)
        finally:
            os._exit(0)

    def _watch(self, program: int, line: socket.socket, folder: str, most: int) -> dict[str, Any]:
        """Waits for the end of the program, or for the order to end it; says how it ended."""
        began: float | None = 0.0  # CPU time when the step began
        why = ""
        poll = select.poll()
        for fd in (line.fileno(), self._woken):
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll(LOOK_SECONDS * 1000 if folder else None)}
            if line.fileno() in ready:
                began = _obey(line, program, began or 0.0)
            if began is None:
                _kill(program)
                return {"ended": _exit_code(program, 0), "why": why}
            if self._woken in ready and os.read(self._woken, 512):
                code = _exit_code(program, os.WNOHANG)
                if code is not None:
                    return {"ended": code, "why": why}
            if folder and remains.size(folder) > most:
                why = "too many files"
                _kill(program)


def _arrange(talk: int, given: int = -1, taken: int = -1) -> int:
    """Descriptors 0, 1 and 2 as the program expects them, its line at 3, and no other."""
    nothing = os.open(os.devnull, os.O_RDWR)
    wanted = [nothing if fd < 0 else fd for fd in (given, taken, nothing)]
    for place, fd in enumerate((*wanted, talk)):
        os.dup2(fd, ASIDE + place)
    for place in range(4):
        os.dup2(ASIDE + place, place, inheritable=place < 3)
    os.closerange(4, 65536)
    return 3


def _obey(line: socket.socket, program: int, began: float) -> float | None:
    """Answers evalkit; when the step began, or None where the line is closed."""
    try:
        orders = line.recv(64)
    except OSError:
        orders = b""
    if not orders:
        return None
    if STEP in orders:
        began = kernel.cpu_seconds(program)
    if USED in orders:
        _say(line, used=kernel.cpu_seconds(program) - began)
    return began


def _exit_code(program: int, options: int) -> int | None:
    ended, status = os.waitpid(program, options)
    return os.waitstatus_to_exitcode(status) if ended else None


def _say(line: socket.socket, **what: Any) -> None:
    with suppress(OSError):
        line.sendall(json.dumps(what).encode() + b"\n")


def _kill(program: int) -> None:
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(program, signal.SIGKILL)
