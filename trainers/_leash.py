"""Holds a job: `python _leash.py PARENT STOP COMMAND…`, of the standard library alone.

The job ends with whoever started it, even one who was killed: then the kernel tells this
process, which ends everything that came of the job.  Processes that the job has left behind are
given to this one as their parent, so that they are found and none survives.  STOP is a command,
as a JSON list, that takes back what runs elsewhere (a cluster's job); `[]` for none.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_SECONDS = 10.0  # to write a last line, and to free a GPU
STOP_SECONDS = 60.0


class Stopped(Exception):
    """Somebody wants the job to end."""


def main() -> int:
    """Runs the command; returns its exit code, 128 and more for the signal that ended it."""
    parent, stop, command = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, _stopped)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        return 128 + signal.SIGTERM
    try:
        job = subprocess.Popen(command, start_new_session=True)
        code = job.wait()
    except Stopped:
        code = -signal.SIGTERM
    except FileNotFoundError as error:
        sys.stdout.write(f"evalkit: there is no program {error.filename}\n")
        sys.stdout.flush()
        code = 127
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    if code and stop:
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(stop, timeout=STOP_SECONDS, check=False)
    _end()
    return code if code >= 0 else 128 - code


def _stopped(number: int, frame: FrameType | None) -> None:
    raise Stopped


def _end() -> None:
    """Ends every process that came of the job: kindly, and after a while surely."""
    end = time.monotonic() + GRACE_SECONDS
    how = signal.SIGTERM
    told: set[int] = set()
    while left := _descendants(os.getpid()):
        if time.monotonic() > end:
            how, told = signal.SIGKILL, set()
        for pid in left - told:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        told |= left
        time.sleep(0.05)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _descendants(ancestor: int) -> set[int]:
    """The processes alive that come of one; where /proc tells nothing, none."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(path.parent.name)] = int(parent)
    found: set[int] = set()
    grown = {pid for pid, parent in parents.items() if parent == ancestor}
    while grown:
        found |= grown
        grown = {pid for pid, parent in parents.items() if parent in grown} - found
    return found


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
