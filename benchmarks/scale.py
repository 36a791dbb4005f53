"""Measures what judging many large cells costs: time and memory of a whole fresh process.

    python -m benchmarks.scale FOLDER [--samples 10000] [--checkpoints 100] [--tasks 20]

Makes sealed cells in FOLDER by the store's own writer, once (they are kept for the next time),
then reads, pairs and judges every checkpoint against the first, in a process of its own.  The
file cache is emptied before, where that is allowed; the table says which it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20_250_704
DOMAINS = ("chat", "code", "instruction", "knowledge", "math", "reasoning", "tools")
DRIFT = 0.04  # the score that the last checkpoint has lost in one domain and gained in another
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Size:
    """How much there is to judge."""

    checkpoints: int
    tasks: int
    samples: int

    def folder(self, root: Path) -> Path:
        """Where its cells are kept."""
        return root / f"{self.checkpoints}x{self.tasks}x{self.samples}"


def make(size: Size, root: Path) -> Path:
    """A results folder of that size; made once."""
    from benchmarks.cells import described
    from evalkit.storage.store import Store

    folder = size.folder(root)
    if (folder / "made").exists():
        return folder
    for number in range(size.tasks):
        task, rows = f"task{number:02}", _questions(number, size.samples)
        random = np.random.default_rng([SEED, number])
        skill, luck = random.beta(0.5, 0.5, size.samples), random.random(size.samples)
        turn = (1, -1, 0, 0, 0, 0, 0)[number % len(DOMAINS)] * DRIFT
        for step in range(size.checkpoints):
            redrawn = random.random(size.samples)
            lucky = np.where(random.random(size.samples) < 0.3, redrawn, luck)
            cell = Store(folder).cell(task, name(step), f"{step:08x}")
            cell.path.mkdir(parents=True, exist_ok=True)
            _seal(cell, rows, lucky < skill + turn * step / size.checkpoints)
            domain = DOMAINS[number % len(DOMAINS)]
            cell.write_meta(**described(task, domain, name(step)), bounds=(0.0, 1.0))
    (folder / "made").touch()
    return folder


def name(step: int) -> str:
    """What the checkpoint of that step is called."""
    return f"step-{step:03}"


def _questions(task: int, count: int) -> list[dict[str, Any]]:
    """Score rows without scores, sorted by item as a graded cell's are."""
    items = sorted(hashlib.sha256(f"{task}/{i}".encode()).digest()[:16] for i in range(count))
    return [
        {
            "item": item,
            "id": f"question-{i}",
            "epoch": 0,
            "target": LETTERS[i % len(LETTERS)],
            "stratum": f"subject {i % 14}",
            "cluster": "",
            "details": "",
        }
        for i, item in enumerate(items)
    ]


def _seal(cell: Any, rows: list[dict[str, Any]], right: NDArray[np.bool_]) -> None:
    from evalkit.storage.tables import SCORE_COLUMNS, write_table

    for i, (row, good) in enumerate(zip(rows, right.tolist(), strict=True)):
        row["value"] = float(good)
        row["answer"] = row["target"] if good else LETTERS[(i + 3) % len(LETTERS)]
        row["outcome"] = "correct" if good else "truncated" if i % 50 == 0 else "wrong"
    write_table(cell.scores_path(), rows, SCORE_COLUMNS)


def judge(folder: Path, checkpoints: int) -> None:
    """Judges everything in this process, and prints what it took as JSON."""
    import resource
    import time

    from evalkit.comparison.policy import Policy
    from evalkit.reporting.report import of_store
    from evalkit.storage.store import Store

    started = time.perf_counter()
    policy = Policy(margins=dict.fromkeys(DOMAINS, 0.01))
    report = of_store(Store(folder), [name(step) for step in range(checkpoints)], policy)
    verdicts = [candidate.verdict for candidate in report.candidates]
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "cpu": used.ru_utime + used.ru_stime,
                "wall": time.perf_counter() - started,
                "mib": used.ru_maxrss / 1024,
                "cells": sum(len(candidate.cells) for candidate in report.candidates),
                "verdicts": {each: verdicts.count(each) for each in sorted(set(verdicts))},
            }
        )
    )


def statistics(size: Size) -> float:
    """CPU-seconds of estimates, families and decisions alone, the differences being in memory."""
    import time

    from evalkit.comparison.decided import Decided
    from evalkit.comparison.measured import Measured
    from evalkit.comparison.policy import Policy
    from evalkit.stats.cell import Differences
    from evalkit.stats.estimate import estimates

    random = np.random.default_rng(SEED)
    policy = Policy(margins=dict.fromkeys(DOMAINS, 0.01))
    domains = [DOMAINS[task % len(DOMAINS)] for task in range(size.tasks)]
    changes = random.choice([-1.0, 0.0, 1.0], (size.tasks, size.samples), p=(0.1, 0.8, 0.1))
    cells = [Differences(change, True) for change in changes]

    def decided() -> Decided:
        found = [
            Measured(f"task{i}", domain, None, {"plain": each})
            for i, (domain, each) in enumerate(zip(domains, estimates(cells), strict=True))
        ]
        return Decided(found, policy, "plain")

    decided()  # what is imported at the first call is not counted
    started = time.process_time()
    for _ in range(size.checkpoints - 1):
        found = decided()
        for domain in found.domains:
            found.decide_domain(domain)
    return time.process_time() - started


def emptied_cache() -> bool:
    """Whether the system's file cache could be emptied."""
    os.sync()
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    return False


def measured(size: Size, root: Path) -> dict[str, Any]:
    """What one fresh process took to judge everything."""
    folder = make(size, root)
    cold = emptied_cache()
    command = [sys.executable, "-m", "benchmarks.scale", str(folder), "--judge"]
    command += ["--checkpoints", str(size.checkpoints)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return {**json.loads(done.stdout), "cold": cold}


def main() -> None:
    """Prints one row a size, as a Markdown table."""
    parser = argparse.ArgumentParser(description="What judging many large cells costs.")
    parser.add_argument("folder", type=Path, help="where the cells are made and kept")
    parser.add_argument("--checkpoints", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000])
    parser.add_argument("--judge", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.judge:
        judge(given.folder, given.checkpoints)
        return
    print("| checkpoints | tasks | samples | cache | CPU s | wall s | peak MiB | statistics s |")
    print("|---|---|---|---|---|---|---|---|")
    for samples in given.samples:
        size = Size(given.checkpoints, given.tasks, samples)
        found = measured(size, given.folder)
        alone = statistics(size)
        print(
            f"| {size.checkpoints} | {size.tasks} | {samples:,} "
            f"| {'cold' if found['cold'] else 'warm'} | {found['cpu']:.2f} | {found['wall']:.2f} "
            f"| {found['mib']:.0f} | {alone:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
