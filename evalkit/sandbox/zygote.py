"""The zygote: an interpreter that is warm and already in its room, and forks for every program.

Started by host.py as `python -m evalkit.sandbox.zygote <owner>:<descriptor> <wall>...`, with the
walls that it is to have, as far as the machine allows.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from importlib import import_module

from evalkit.sandbox import landlock, room, seccomp, warden
from evalkit.sandbox.confine import FIRST_USER, Walls
from evalkit.sandbox.limits import Limits

WARM = (
    *("abc", "bisect", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal"),
    *("enum", "fractions", "functools", "heapq", "io", "itertools", "json", "math", "operator"),
    *("random", "re", "statistics", "string", "textwrap", "time", "typing"),
)
"""Modules that programs import often: loaded once, they cost a program nothing."""

HEADER = struct.Struct("!I")
MOST_DESCRIPTORS = 4  # the warden's line, the program's, its input and its output


def main() -> None:
    """Enters the room, says what walls it has, and serves until the line is closed."""
    line = socket.socket(fileno=int(sys.argv[1].partition(":")[2]))
    for name in WARM:
        import_module(name)
    try:
        walls = _build(set(sys.argv[2:]))
    except OSError as error:
        _tell(line, {"broken": str(error)})
        return
    _tell(line, {"walls": {name: getattr(walls, name) for name in Walls.__dataclass_fields__}})
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    room.readable()  # once for all programs
    gc.collect()
    gc.freeze()  # or a collection in a program would copy every page
    while (job := _job(line)) is not None:
        _start(walls, line, *job)


def _build(wanted: set[str]) -> Walls:
    """The walls that are wanted and to be had; raises OSError where namespaces are not."""
    privileged = room.enter() if "namespaces" in wanted else True
    return Walls(
        namespaces="namespaces" in wanted,
        bubblewrap="bubblewrap" in wanted,
        seccomp="seccomp" in wanted and seccomp.available(),
        landlock="landlock" in wanted and landlock.version() > 0,
        user="user" in wanted and privileged and _may_change_user(),
    )


def _may_change_user() -> bool:
    """Whether a program may be another user, and would still find its libraries; tried by one."""
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            os.setgroups([])
            os.setresuid(FIRST_USER, FIRST_USER, FIRST_USER)
            for path in room.readable():
                os.stat(path)
            os._exit(0)
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _tell(line: socket.socket, what: dict[str, object]) -> None:
    line.sendall(json.dumps(what).encode() + b"\n")


def _job(line: socket.socket) -> tuple[Limits, list[int]] | None:
    """The next program's limits and descriptors; None when there will be none."""
    head, fds, _, _ = socket.recv_fds(line, HEADER.size, MOST_DESCRIPTORS)
    if len(head) < HEADER.size:
        return None
    return Limits(**json.loads(line.recv(HEADER.unpack(head)[0], socket.MSG_WAITALL))), fds


def _start(walls: Walls, line: socket.socket, limits: Limits, fds: list[int]) -> None:
    """Forks the warden of one program."""
    if os.fork():
        for fd in fds:
            os.close(fd)
        return
    try:
        line.close()
        warden.guard(walls, limits, socket.socket(fileno=fds[0]), fds[1:])
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
