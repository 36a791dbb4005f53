"""Runs a command and prints what it took, from a process that weighs next to nothing.

The kernel begins a command's peak memory (`ru_maxrss`) at what the process weighed that started
it, and a test's or a benchmark's own process may weigh more than what is measured.

`python benchmarks/launch.py LOG COMMAND…` prints JSON: status, begun and ended (seconds since the
epoch), cpu (seconds, of the command and its children) and memory (MiB, of the largest of them).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(log: Path, command: list[str]) -> None:
    """Runs the command to its end, its output in the log."""
    with log.open("wb") as output:
        begun = time.time()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.time()
    found = {
        "status": os.waitstatus_to_exitcode(status),
        "begun": begun,
        "ended": ended,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
