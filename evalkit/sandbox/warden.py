"""The warden: one process a program, which starts it, watches it and clears up behind it.

It hears single bytes from evalkit (a step begins; how much CPU time has that step used?) and ends
the program when that line is closed, so that nothing survives whoever asked for it.
"""

from __future__ import annotations

import json
import math
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from evalkit.sandbox import examiner, kernel, room
from evalkit.sandbox.confine import Walls, confine, user_of
from evalkit.sandbox.limits import Limits

FOLDER = "evalkit-program-"
STEP, USED = b"s", b"u"
LOOK_SECONDS = 0.2  # how often a folder on disk is measured
BLOCK = 512  # bytes, as `st_blocks` counts
ASIDE = 1000  # descriptors from here on are free
GRACE_SECONDS = 5.0  # for processes that have been killed to be gone


def guard(walls: Walls, limits: Limits, line: socket.socket, fds: list[int]) -> None:
    """Runs one program to its end; `fds` are its own line, its input and its output."""
    user = user_of(walls)
    folder = ""
    try:
        if walls.namespaces:
            room.private_folder(limits.files, user)
            folder = room.PRIVATE
        else:
            kernel.set_process(kernel.SUBREAPER, 1)
            folder = tempfile.mkdtemp(prefix=FOLDER, dir=room.PRIVATE if walls.bubblewrap else None)
            os.chown(folder, user, user if walls.user else os.getgid())
        woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        program = os.fork()
        if program == 0:
            _become(walls, limits, user, folder, fds)
        for fd in fds:
            os.close(fd)
        size = 0 if walls.namespaces else limits.files
        _say(line, **_watch(program, line, woken, folder, size))
    except OSError as error:
        _say(line, broken=f"{error.strerror or error}")
    finally:
        if not walls.namespaces:
            _end_descendants()
            _remove(folder)


def _become(walls: Walls, limits: Limits, user: int, folder: str, fds: list[int]) -> NoReturn:
    """Turns this process into the program."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        talk = _arrange(*fds)
        try:
            confine(walls, limits, user, folder)
        except OSError as error:
            examiner.reply(talk, {"broken": str(error)})
        else:
            examiner.reply(talk, {"ready": True})
            examiner.serve(talk)
    finally:
        os._exit(0)


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


def _watch(program: int, line: socket.socket, woken: int, folder: str, size: int) -> dict[str, Any]:
    """Waits for the end of the program, or for the order to end it; says how it ended."""
    began: float | None = 0.0  # CPU time when the step began
    why = ""
    poll = select.poll()
    for fd in (line.fileno(), woken):
        poll.register(fd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll(LOOK_SECONDS * 1000 if size else None)}
        if line.fileno() in ready:
            began = _obey(line, program, began or 0.0)
        if began is None:
            _kill(program)
            return {"ended": _exit_code(program, 0), "why": why}
        if woken in ready and os.read(woken, 512):
            code = _exit_code(program, os.WNOHANG)
            if code is not None:
                return {"ended": code, "why": why}
        if size and _size(folder) > size:
            why = "too many files"
            _kill(program)


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


def _end_descendants() -> None:
    """Kills what the program left running: orphans become children of this process."""
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            for child in _children():
                with suppress(OSError):
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.002)


def _children() -> list[int]:
    """The processes whose parent this one is."""
    found, own = [], os.getpid()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, ValueError, IndexError):
                stat = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == own:
                    found.append(int(entry))
    return found


def _size(folder: str) -> float:
    """Bytes in a folder and all below it, as many as can be seen."""
    total = 0
    try:
        for place, _, files in os.walk(folder):
            for name in files:
                with suppress(OSError):
                    total += os.lstat(os.path.join(place, name)).st_blocks * BLOCK
    except RecursionError:
        return math.inf
    return total


def _remove(folder: str) -> None:
    """Removes a folder and all below it, whatever a program has done to it."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):  # these two do not mind the depth, and follow no links
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*command, "--", folder], stderr=subprocess.DEVNULL, check=False)
