"""Kills a run at random instants, two hundred times, and counts what was asked twice.

`python -m benchmarks.kills build/kills` kills twenty runs ten times each, over a matrix of every
kind of task, and fails if an answer is lost or a file differs from an undisturbed run's.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tests.killed_runs import CONCURRENCY, killed, scene, twice

RUNS, KILLS = 20, 10


def main(work: Path) -> None:
    """Kills, and prints what it cost."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    kills, texts, likelihoods, due = 0, 0, 0, 0
    with scene(work) as here:
        here.begin("calm")
        here.finish()
        for run in range(RUNS):
            shutil.rmtree(work / "disturbed", ignore_errors=True)
            here.begin("disturbed")
            here.kills = 0
            killed(here, KILLS, seed=run)
            if here.files("disturbed") != here.files("calm"):
                raise SystemExit(f"run {run}: a file differs from an undisturbed run's")
            found = twice(here)
            kills, due = kills + here.kills, due + sum(c.total() for c in here.kept["calm"])
            texts, likelihoods = texts + found["texts"], likelihoods + found["likelihoods"]
            print(f"run {run}: {here.kills} kills, asked twice: {found}", flush=True)
    print(
        f"{kills} kills, {CONCURRENCY} in flight; of {due} requests none was lost, {texts} texts "
        f"and {likelihoods} likelihoods were asked again: {texts / max(kills, 1):.1f} and "
        f"{likelihoods / max(kills, 1):.1f} a kill"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
