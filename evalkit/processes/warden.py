"""Runs a command for an owner, and ends all that came of it as soon as either of them has ended.

`python warden.py COMMAND…`, of the standard library alone.  The owner holds the other end of the
standard input: when that closes, by whatever death of the owner, the command is told to end, and
is killed if it does not.  What the command prints goes to the standard error; on the standard
output the owner reads the command's process id and, once it has ended, its exit code.

On Linux nothing escapes: orphans of the command become the warden's children and are killed, and
the command is killed if the warden is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

GRACE = 10.0
"""Seconds that a command has to end once it is told to."""

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> None:
    """Runs the command to its end, or to the owner's."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
        preexec_fn=lambda: _prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _end(child))
    _tell(child.pid)
    threading.Thread(target=_with_owner, args=(child,), daemon=True).start()
    code = child.wait()
    _sweep(child.pid)
    _tell(code)


def _tell(number: int) -> None:
    with suppress(OSError):  # the owner has gone
        os.write(1, f"{number}\n".encode())


def _with_owner(child: subprocess.Popen[bytes]) -> None:
    """Waits for the owner's end, then ends the command."""
    while os.read(0, 4096):
        pass
    _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Tells the command and all its processes to end, then makes them."""
    _signal(child.pid, signal.SIGTERM)

    def insist() -> None:
        time.sleep(GRACE)
        _signal(child.pid, signal.SIGKILL)

    threading.Thread(target=insist, daemon=True).start()


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _sweep(group: int) -> None:
    """Kills whatever has outlived the command: its group, and what has left that."""
    _signal(group, signal.SIGKILL)
    while orphans := _children():
        for orphan in orphans:
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _children() -> list[int]:
    """Processes whose parent this is; none where that cannot be told."""
    found: list[int] = []
    for thread in Path("/proc/self/task").glob("*"):
        with suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return found


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):  # Linux alone has it
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
