"""A run that is stopped at any instant loses nothing, and asks nothing twice but what it awaited.

Real commands are killed with SIGKILL while they ask three real servers, seal, judge and grade; the
servers' own logs are counted, and every file is compared with an undisturbed run's.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.killed_runs import CONCURRENCY, Scene, killed, scene, twice
from tests.mixed_tasks import COUNT, plugged
from tests.servers import evalkit, requests, server


def check(here: Scene, kills: int) -> None:
    """Nothing was lost, and little was asked twice."""
    extra = twice(here)
    assert extra["texts"] <= kills * CONCURRENCY
    assert extra["likelihoods"] <= kills * CONCURRENCY * 4  # a sample asks four times
    assert here.files("disturbed") == here.files("calm")


def test_twenty_kills_lose_nothing_and_ask_nothing_twice(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        here.begin("calm")
        here.finish()
        assert len(here.graded) == 2 * COUNT
        here.begin("disturbed")
        killed(here, 20, seed=1)
        graded = len(here.graded)
    assert here.kills >= 10
    check(here, here.kills)
    assert 2 * COUNT <= graded <= 2 * COUNT + here.kills * 8


def test_a_run_with_children_is_killed_the_same_way(tmp_path: Path) -> None:
    with scene(tmp_path, "{name: devices, devices: [0, 1]}") as here:
        here.begin("calm")
        here.finish()
        here.begin("disturbed")
        killed(here, 4, seed=2)
    assert here.kills >= 2
    check(here, 2 * here.kills)  # two checkpoints were under way


ONE = """\
baseline: one
checkpoints:
  - name: one
    identity: one
    format: completion
    backend: {{name: openai_api, model: x, base_url: "{url}", concurrency: 8,
               retries: 1, backoff: 0.05}}
tasks: [mixed-plain, mixed-turns, mixed-costly]
"""
DUE = 2 * COUNT + 2 * COUNT + COUNT


def run(folder: Path, results: Path, url: str, variables: dict[str, str]) -> tuple[int, str]:
    """The command run to its end: its exit code, and what it said to people."""
    config = folder / "one.yaml"
    config.write_text(ONE.format(url=url))
    command = evalkit("run-matrix", config, "--results", results, variables=variables)
    _, errors = command.communicate(timeout=60)
    return command.returncode, errors


def test_a_server_that_dies_mid_run_and_comes_back_is_asked_the_rest(tmp_path: Path) -> None:
    log, variables = tmp_path / "log", plugged(tmp_path / "site")
    with server(log, "--latency", "0.02") as url:
        config = tmp_path / "one.yaml"
        config.write_text(ONE.format(url=url))
        command = evalkit("run-matrix", config, "--results", tmp_path / "r", variables=variables)
        while requests([log]) < DUE // 2:
            time.sleep(0.002)
    _, errors = command.communicate(timeout=60)
    assert command.returncode == 4, errors
    assert requests([log]) < DUE
    code, errors = run(tmp_path, tmp_path / "r", url, variables)
    assert (code, "is the server running?" in errors) == (4, True)
    port = url.split(":")[2].split("/")[0]
    with server(log, "--latency", "0.02", "--port", port) as back:
        assert back == url
        code, errors = run(tmp_path, tmp_path / "r", url, variables)
        assert code == 0, errors
    assert DUE <= requests([log]) <= DUE + CONCURRENCY


def test_a_disk_that_is_full_mid_run_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    disk, log = tmp_path / "disk", tmp_path / "log"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        with server(log, "--latency", "0.02") as url:
            variables = plugged(tmp_path / "site")
            code, errors = run(tmp_path, disk / "r", url, variables)
            assert (code, "No space left on device" in errors) == (4, True), errors
            assert "Traceback" not in errors
            kept = sum(path.read_bytes().count(b"\n") for path in disk.glob("r/*/*/a*.jsonl"))
            assert 0 < kept < DUE
            bigger = ["mount", "-o", "remount,size=10m", str(disk)]
            subprocess.run(bigger, check=True)
            code, errors = run(tmp_path, disk / "r", url, variables)
            assert code == 0, errors
            assert DUE <= requests([log]) <= DUE + CONCURRENCY + 1
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
