"""Kills a run at random instants, two hundred times, and counts what was asked twice.

`python -m benchmarks.kills build/kills` kills as many runs as that takes, each up to ten times,
over a matrix of every kind of task, and fails if an answer is lost or a file differs from an
undisturbed run's.
"""

from __future__ import annotations

import shutil
import sys
import time
from itertools import count
from pathlib import Path

from tests.killed_runs import CONCURRENCY, killed, scene, twice

KILLS = 200
KILLS_A_RUN = 10  # at most: a run may end before


def main(work: Path) -> None:
    """Kills, and prints what it cost."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    kills, texts, likelihoods, due = 0, 0, 0, 0
    begun = time.monotonic()
    with scene(work) as here:
        here.begin("calm")
        here.finish()
        for run in count(1):
            shutil.rmtree(work / "disturbed", ignore_errors=True)
            here.begin("disturbed")
            here.kills = 0
            killed(here, min(KILLS_A_RUN, KILLS - kills), seed=run)
            if here.files("disturbed") != here.files("calm"):
                raise SystemExit(f"run {run}: a file differs from an undisturbed run's")
            found = twice(here)
            kills, due = kills + here.kills, due + sum(c.total() for c in here.kept["calm"])
            texts, likelihoods = texts + found["texts"], likelihoods + found["likelihoods"]
            print(f"run {run}: {here.kills} kills, asked twice: {found}", flush=True)
            if kills >= KILLS:
                break
    print(
        f"{kills} kills of {run} runs in {time.monotonic() - begun:.0f} s, {CONCURRENCY} requests "
        f"in flight; of {due} requests none was lost, {texts} texts and {likelihoods} likelihoods "
        f"were asked again: {texts / kills:.1f} and {likelihoods / kills:.1f} a kill"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
