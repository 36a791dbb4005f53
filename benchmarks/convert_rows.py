"""Measures what converting rows for a framework costs: time and memory of a whole fresh process.

    python -m benchmarks.convert_rows FOLDER [--rows 100000 1000000]

Writes rows of questions, answers and ranked answers into FOLDER once, then converts them as a
stage does before its job starts: read and checked twice, drawn by weight, written.  Memory that
does not grow with the rows is seen in two sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from evalkit import Stage

JOBS = [
    ("openrlhf", "sft"), ("openrlhf", "dpo"), ("openrlhf", "grpo"),
    ("verl", "sft"), ("verl", "grpo"),
    ("nemo_rl", "sft"), ("nemo_rl", "dpo"), ("nemo_rl", "grpo"),
]  # fmt: skip
WORDS = ["the", "sum", "of", "two", "and", "what", "is", "left", "once", "each", "was", "taken"]
WEIGHTS = (0.7, 0.3)  # of the two sources, which hold as many rows each


def make(folder: Path, count: int) -> list[Path]:
    """Two files of rows that any method can be trained on; written once."""
    chance = random.Random(0)
    paths = [folder / f"{part}-{count}.jsonl" for part in ("first", "second")]
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if path.exists():
            continue
        with path.open("w") as file:
            for at in range(count // 2):
                asked, good, bad = (" ".join(chance.choices(WORDS, k=n)) for n in (30, 40, 40))
                row = {"prompt": [{"role": "user", "content": f"{at}: {asked}?"}], "answer": at,
                       "completion": good, "chosen": good, "rejected": bad}  # fmt: skip
                file.write(json.dumps(row) + "\n")
    return paths


def convert(framework: str, method: str, sources: list[str], target: Path) -> dict[str, Any]:
    """Converts everything in this process; returns what it took."""
    from importlib import import_module

    from trainers.conversion import drawn, survey

    job = import_module(f"trainers.{framework}_job").FRAMEWORK
    stage = Stage("s", method, "", data=dict(zip(sources, WEIGHTS, strict=True)))
    started = time.perf_counter()
    found = survey(stage)
    job.write(job.convert(drawn(stage, found), method, found.chat), target)
    wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu": used.ru_utime + used.ru_stime,
        "wall": wall,
        "mib": used.ru_maxrss / 1024,
        "mb": target.stat().st_size / 1e6,
    }


def measured(framework: str, method: str, rows: int, folder: Path) -> dict[str, Any]:
    """What one fresh process took to convert so many rows."""
    sources = [str(path) for path in make(folder, rows)]
    target = folder / f"{framework}-{method}"
    command = [sys.executable, "-m", "benchmarks.convert_rows", str(folder), "--job"]
    command += [framework, method, str(target), *sources]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    target.unlink()
    return dict(json.loads(done.stdout))


def main() -> None:
    """Prints one row a framework, method and size, as a Markdown table."""
    parser = argparse.ArgumentParser(description="What converting rows for a framework costs.")
    parser.add_argument("folder", type=Path, help="where the rows are made and kept")
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        framework, method, target, *sources = given.job
        print(json.dumps(convert(framework, method, sources, Path(target))))
        return
    print("| framework | method | rows | CPU s | wall s | peak MiB | written MB |")
    print("|---|---|---|---|---|---|---|")
    for framework, method in JOBS:
        for rows in given.rows:
            found = measured(framework, method, rows, given.folder)
            print(
                f"| {framework} | {method} | {rows:,} | {found['cpu']:.1f} | {found['wall']:.1f} "
                f"| {found['mib']:.0f} | {found['mb']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
