"""What evalkit costs beside the model stays small: bounds with room for a busy machine.

`make bench` measures; these fail when something costs several times what it should.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harnesses import EVALKIT
from benchmarks.speed import ECHO, NOTHING, plugged, whole
from benchmarks.timed import instant_server

ROOM = 3.0
"""Times the CPU-seconds of a quiet machine that a crowded one may take."""

IMPORTED = """
import sys
from evalkit.cli import cli
try:
    cli(sys.argv[1:], standalone_mode=False)
except SystemExit:
    pass
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def test_two_thousand_requests_cost_two_cpu_seconds(tmp_path: Path) -> None:
    with instant_server(0.0) as url:
        found = whole(tmp_path / "sums", url, EVALKIT.format(url=url), 2_000)
    assert found.count == 2_000
    assert found.peak <= 64
    assert found.cpu < 2.0 * ROOM
    assert found.memory < 200


def test_requests_are_kept_in_flight(tmp_path: Path) -> None:
    with instant_server(0.05) as url:
        found = whole(tmp_path / "sums", url, EVALKIT.format(url=url), 300)
    assert found.peak == 64


@pytest.mark.skipif(not os.environ.get("EVALKIT_DATA"), reason="needs EVALKIT_DATA")
def test_mmlu_pro_whole_costs_eight_cpu_seconds_and_little_memory(tmp_path: Path) -> None:
    with instant_server(0.0) as url:
        config = EVALKIT.format(url=url).replace("[sums]", "[mmlu-pro]")
        found = whole(tmp_path / "mmlu", url, config)
    assert found.count == 12_032
    assert found.cpu < 8.0 * ROOM
    assert found.memory < 350


@pytest.mark.integration
def test_memory_hardly_grows_with_the_number_of_samples(tmp_path: Path) -> None:
    with instant_server(0.0) as url:
        some, many = (whole(tmp_path / "echo", url, ECHO, count) for count in (100_000, 300_000))
    assert many.memory < 250
    assert (many.memory - some.memory) * 2**20 / 200_000 < 200  # bytes a sample


def test_nothing_to_do_is_told_in_a_second(tmp_path: Path) -> None:
    with instant_server(0.0) as url:
        whole(tmp_path / "nothing", url, NOTHING)
        found = whole(tmp_path / "nothing", url, NOTHING, anew=False)
    assert found.cpu < 1.0 * ROOM


def test_asking_over_http_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    with instant_server(0.0) as url:
        (tmp_path / "c.yaml").write_text(EVALKIT.format(url=url))
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED, "run-matrix", "c.yaml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, **plugged(tmp_path, 50)},
            check=True,
        )
    imported = set(done.stderr.splitlines()[-1].split())
    heavy = {"pandas", "scipy", "openai", "torch", "transformers", "datasets", "matplotlib"}
    assert not imported & heavy
    assert {"aiohttp", "pyarrow"} <= imported
