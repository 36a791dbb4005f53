"""One command timed from outside: CPU-seconds of its processes, memory, and its three phases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Timed:
    """What one run of a command took, in seconds and MiB."""

    wall: float
    cpu: float
    memory: float  # of the largest of its processes
    start: float  # from the command to its first request
    requests: float  # from the first request to the last
    rest: float  # from the last request to the end
    count: int = 0
    peak: int = 0  # requests in flight at most


@contextmanager
def instant_server(latency: float) -> Iterator[str]:
    """The instant server in a process of its own; gives its address."""
    command = [sys.executable, "-m", "benchmarks.instant_server", "--latency", str(latency)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def timed(
    command: Sequence[str | Path], url: str, folder: Path, variables: Mapping[str, str] = {}
) -> Timed:
    """Runs a command in a folder; raises RuntimeError with its last words where it fails."""
    _get(url, "reset")
    log = folder / "log"
    launched = subprocess.run(
        [sys.executable, "-I", ROOT / "benchmarks/launch.py", log, *map(str, command)],
        cwd=folder,
        stdout=subprocess.PIPE,
        env={**os.environ, **variables},
        check=True,
    )
    took = json.loads(launched.stdout)
    if took["status"]:
        raise RuntimeError(f"{command[0]}: exit {took['status']}: {_end(log)}")
    begun, ended = took["begun"], took["ended"]
    told = json.loads(_get(url, "stats"))
    first, last = told["first"] or ended, told["last"] or ended
    return Timed(
        ended - begun,
        took["cpu"],
        took["memory"],
        first - begun,
        last - first,
        ended - last,
        told["requests"],
        told["peak"],
    )


def middle(runs: Sequence[Timed]) -> Timed:
    """The median of each figure."""
    names = ("wall", "cpu", "memory", "start", "requests", "rest", "count", "peak")
    found = {name: median(getattr(run, name) for run in runs) for name in names}
    return Timed(**{**found, "count": int(found["count"]), "peak": int(found["peak"])})


def _get(url: str, word: str) -> bytes:
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/{word}") as answer:
        return bytes(answer.read())


def _end(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])
