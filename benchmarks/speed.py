"""What asking costs evalkit itself: additions, MMLU-Pro whole, a million answers, nothing to do.

`python -m benchmarks.speed build/speed` prints medians of five runs; MMLU-Pro needs EVALKIT_DATA.
`--million` adds a run of a million samples, by `echo`, which takes minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.harnesses import EVALKIT
from benchmarks.timed import ROOT, Timed, instant_server, middle, timed

ECHO = "baseline: base\ncheckpoints: [{name: base, backend: echo}]\ntasks: [sums]\n"
NOTHING = """\
baseline: a
checkpoints:
  - {name: a, backend: {name: echo, skill: 0.9}}
  - {name: b, backend: {name: echo, skill: 0.8}}
  - {name: c, backend: {name: echo, skill: 0.7}}
  - {name: d, backend: {name: echo, skill: 0.6}}
  - {name: e, backend: {name: echo, skill: 0.5}}
tasks: [mini-arithmetic, mini-choice, mini-copy, mini-tools, mini-instruct]
"""
PYTHON = (sys.executable, "-m", "evalkit.cli")


def plugged(folder: Path, count: int) -> dict[str, str]:
    """Variables of a process that finds so many additions."""
    about = folder / "site" / "evalkit_sums-1.0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evalkit-sums\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[evalkit.tasks]\nsums = benchmarks.sums_task\n")
    return {"PYTHONPATH": f"{ROOT}:{about.parent}", "EVALKIT_SUMS": str(count)}


def whole(folder: Path, url: str, config: str, count: int = 2_000, *, anew: bool = True) -> Timed:
    """One run of a config, from nothing unless it is to find what an earlier one left."""
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "c.yaml").write_text(config)
    command = [*PYTHON, "run-matrix", "c.yaml"]
    return timed(command, url, folder, plugged(folder, count))


def told(name: str, run: Callable[[], Timed], times: int) -> None:
    """Runs something so often, and prints the medians."""
    found = middle([run() for _ in range(times)])
    print(
        f"| {name} | {found.cpu:.2f} | {found.wall:.2f} | {found.start:.2f} | "
        f"{found.requests:.2f} | {found.rest:.2f} | {found.memory:.0f} | {found.count} |",
        flush=True,
    )


def main(work: Path, times: int, million: bool) -> None:
    """Prints one row for each case."""
    print("| | CPU s | whole s | to the first request | requests | after the last | MiB | asked |")
    print("|:--|--:|--:|--:|--:|--:|--:|--:|")
    for latency in (0.0, 0.05):
        with instant_server(latency) as url:
            config, name = EVALKIT.format(url=url), f"2,000 additions, {latency * 1000:.0f} ms"
            told(name, lambda: whole(work / "sums", url, config), times)  # noqa: B023
    with instant_server(0.0) as url:
        if os.environ.get("EVALKIT_DATA"):
            config = EVALKIT.format(url=url).replace("[sums]", "[mmlu-pro]")
            told("MMLU-Pro, 12,032 of 5 shots", lambda: whole(work / "mmlu", url, config), times)
        whole(work / "nothing", url, NOTHING)
        again = lambda: whole(work / "nothing", url, NOTHING, anew=False)  # noqa: E731
        told("5 × 5 cells, nothing to do", again, times)
        told("--help", lambda: timed([*PYTHON, "--help"], url, work), times)
        for count in (10_000, 100_000, *((1_000_000,) if million else ())):
            told(f"{count:,} by echo", lambda: whole(work / "echo", url, ECHO, count), 1)  # noqa: B023


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--million", action="store_true")
    given = parser.parse_args()
    main(given.work.absolute(), given.times, given.million)
