"""Every method on the quickstart's model: what it should move, it moves.

Takes the folder that `make quickstart` made, or makes it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_benchmarks import table

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3000)]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "quickstart"


def printed(*command: str) -> str:
    """What a script prints."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def quickstart() -> None:
    printed(
        "-m", "evalkit.cli", "run-matrix", "examples/quickstart.yaml", "--results", str(RESULTS)
    )


def test_every_method_learns() -> None:
    rows = table(printed("-m", "benchmarks.trainers", str(RESULTS), "--seeds", "1"))
    assert len(rows) == 16
    for name, *_, seeds, _ in rows:
        assert seeds == "1 of 1", name


def test_the_harness_costs_next_to_nothing() -> None:
    rows = table(printed("-m", "benchmarks.trainer_overhead", str(RESULTS), "--repeats", "3"))
    assert [row[0] for row in rows] == ["sft", "grpo"]
    for row in rows:
        assert float(row[-1].removesuffix("%")) < 2, row
