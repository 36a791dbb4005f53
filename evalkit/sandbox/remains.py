"""What a program leaves behind where no namespace takes it away: processes and a folder."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

BLOCK = 512  # bytes, as `st_blocks` counts
GRACE_SECONDS = 5.0  # for processes that have been killed to be gone


def end_descendants() -> None:
    """Kills what a program left running: orphans become children of this process, a subreaper."""
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


def size(folder: str) -> float:
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


def remove(folder: str) -> None:
    """Removes a folder and all below it, whatever a program has done to it."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):  # these two do not mind the depth, and follow no links
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*command, "--", folder], stderr=subprocess.DEVNULL, check=False)
