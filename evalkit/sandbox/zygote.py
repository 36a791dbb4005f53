"""The zygote: an interpreter that is warm and already in its room, from which all others fork.

Started by host.py as `python -m evalkit.sandbox.zygote <owner>:<descriptor>:<wardens> <wall>...`,
with the walls that it is to have, as far as the machine allows.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from importlib import import_module
from typing import NoReturn

from evalkit.sandbox import landlock, room, seccomp
from evalkit.sandbox.confine import FIRST_USER, Walls, forget_environment
from evalkit.sandbox.warden import Warden

WARM = (
    *("abc", "bisect", "cmath", "collections", "copy", "dataclasses", "datetime", "decimal"),
    *("enum", "fractions", "functools", "heapq", "io", "itertools", "json", "math", "operator"),
    *("random", "re", "statistics", "string", "textwrap", "time", "typing"),
)
"""Modules that programs import often: loaded once, they cost a program nothing."""

USERS = 1 << 28  # ids from FIRST_USER on that programs may get


def main() -> None:
    """Enters the room, and keeps wardens in it until their line is closed."""
    owner, descriptor, wardens = map(int, sys.argv[1].split(":"))
    line = socket.socket(fileno=descriptor)
    for name in WARM:
        import_module(name)
    try:
        walls = _build(set(sys.argv[2:]))
    except OSError as error:
        line.sendall(json.dumps({"broken": str(error)}).encode())
        return
    apart = walls.namespaces or walls.bubblewrap
    disk = room.PRIVATE if apart else tempfile.gettempdir()
    forget_environment()
    room.readable()  # these are worked out once for all programs
    if walls.seccomp:
        seccomp.packed(False, None)
    gc.collect()
    gc.freeze()  # or a collection in a program would copy every page

    def warden(place: int) -> int:
        child = os.fork()
        if child == 0:
            user = FIRST_USER + (owner * 256 + place) % USERS if walls.user else os.getuid()
            _serve(Warden(walls, user, disk), line)
        return child

    _keep(warden, wardens, partial(line.sendall, json.dumps({"walls": asdict(walls)}).encode()))


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


def _keep(start: Callable[[int], int], number: int, ready: Callable[[], None]) -> None:
    """Keeps so many wardens until they have ended well; one that dies is replaced."""
    places = {start(place): place for place in range(number)}
    ready()
    while places:
        ended, status = os.wait()
        place = places.pop(ended, None)
        if place is not None and status != 0:
            places[start(place)] = place


def _serve(warden: Warden, line: socket.socket) -> NoReturn:
    code = 1
    try:
        warden.serve(line)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
