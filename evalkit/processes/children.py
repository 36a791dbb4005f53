"""Child processes: they end with their parent, and say why they ended."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

ERROR_MARK = "evalkit: "
"""Begins the line of a child's log that tells the user what to mend."""


def end_with(parent: int) -> None:
    """Ends this process, by SIGTERM, as soon as the parent has ended, by whatever signal.

    Linux alone can promise it; elsewhere a parent that is killed by SIGKILL leaves its children.
    """
    import ctypes

    with suppress(OSError, AttributeError):
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != parent:  # it was gone before it could be watched
        sys.exit(1)


def end_well() -> None:
    """Lets SIGTERM end this process as Ctrl-C does: what is open is closed, children are ended."""

    def ended(*_: object) -> None:
        sys.exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, ended)


def why(log: Path, code: int, start: int = 0) -> str:
    """Why a child ended with that code: what it said last, or the signal that killed it.

    Of a log that others have written to before, only what comes after `start` bytes is read.
    """
    try:
        lines = log.read_bytes()[start:].decode(errors="replace").splitlines()
    except OSError:
        lines = []
    said = [line.removeprefix(ERROR_MARK) for line in lines if line.startswith(ERROR_MARK)]
    if said:
        return said[-1]
    last = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"killed by {name}{hint}" + (f", after: {last}" if last else "")
    return f"exit {code}: {last or 'it printed nothing'}"
