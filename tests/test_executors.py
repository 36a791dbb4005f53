"""Where a checkpoint is asked changes no answer; a child's death costs what it had in flight."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evalkit.backends.transformers_local import holds_device
from evalkit.types import Checkpoint
from evalkit.verdict import Report
from tests.mixed_tasks import COUNT, plugged
from tests.servers import evalkit, requests, server

CONCURRENCY = 4
ASKED = 2 * COUNT + 2 * COUNT + 4 * COUNT // 2 + COUNT
"""Requests of one checkpoint: two epochs, two turns, a context and three options, and one."""
LATENCY = ("--latency", "0.03")
CONFIG = """\
baseline: one
checkpoints:
  - name: one
    identity: one
    format: completion
    backend: {{name: openai_api, model: x, base_url: "{one}", concurrency: 4{more}}}
  - name: two
    identity: two
    format: completion
    system_prompt: You are the second.
    backend: {{name: openai_api, model: x, base_url: "{two}", concurrency: 4{more}}}
tasks: [mixed-plain, mixed-turns, mixed-choice, mixed-costly]
reports: [markdown]
executor: {executor}
"""

Run = Callable[..., subprocess.Popen[str]]


class Scene:
    """Two servers, a config for each way to ask them, and their logs."""

    def __init__(self, folder: Path, one: str, two: str) -> None:
        self.folder = folder
        self.addresses = {"one": one, "two": two}
        self.logs = [folder / "one.log", folder / "two.log"]
        self.variables = plugged(folder / "site")

    def start(self, executor: str, results: str, more: str = "") -> subprocess.Popen[str]:
        config = self.folder / f"{results}.yaml"
        config.write_text(CONFIG.format(**self.addresses, executor=executor, more=more))
        path = self.folder / results
        return evalkit("run-matrix", config, "--results", path, variables=self.variables)

    def report(self, results: str) -> Report:
        """What was found, without how: the configurations differ."""
        found = (self.folder / results / "report" / "verdict.json").read_bytes()
        return Report.model_validate_json(found).model_copy(update={"made": None})

    def wait_for(self, count: int) -> None:
        """Until so many requests have come."""
        deadline = time.monotonic() + 30
        while requests(self.logs) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert requests(self.logs) >= count


@contextmanager
def scene(folder: Path, *options: str) -> Iterator[Scene]:
    with (
        server(folder / "one.log", *LATENCY, *options) as one,
        server(folder / "two.log", *LATENCY, *options) as two,
    ):
        yield Scene(folder, one, two)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that live."""
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True)
    lines = found.stdout.decode().splitlines()
    return [int(line.split()[0]) for line in lines if "evalkit.executors.child" in line]


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_every_executor_makes_the_same_report(tmp_path: Path) -> None:
    with scene(tmp_path, "--key", "secret") as here:
        ways = {
            "in_process": "in_process",
            "child": "child",
            # The device is what the children see: here the key that the servers want.
            "devices": "{name: devices, devices: [secret, secret], variable: SERVER_KEY}",
        }
        here.variables["SERVER_KEY"] = "secret"
        for results, executor in ways.items():
            if results == "devices":
                del here.variables["SERVER_KEY"]
            before = requests(here.logs)
            run = here.start(executor, results, ", api_key_env: SERVER_KEY")
            _, errors = run.communicate(timeout=60)
            assert run.returncode == 0, errors
            assert requests(here.logs) - before == 2 * ASKED
            assert "one · mixed-turns: 40/40" in errors
    assert here.report("in_process") == here.report("child") == here.report("devices")
    assert (tmp_path / "child" / "logs" / "one.log").exists()
    assert not (tmp_path / "in_process" / "logs").exists()


def test_a_childs_death_costs_what_was_in_flight_and_is_told_with_its_reason(
    tmp_path: Path,
) -> None:
    with scene(tmp_path) as here:
        run = here.start("child", "results")
        here.wait_for(30)
        (child,) = children(run.pid)
        os.kill(child, signal.SIGKILL)
        output, errors = run.communicate(timeout=60)
        assert run.returncode == 4
        said = [line for line in errors.splitlines() if line.startswith("evalkit: ")]
        assert len(said) == 1
        assert "one: its process ended early: killed by SIGKILL (out of memory?)" in said[0]
        assert "two" in output
        again = here.start("child", "results")
        _, errors = again.communicate(timeout=60)
        assert again.returncode == 0, errors
    for log in here.logs:
        assert ASKED <= requests([log]) <= ASKED + CONCURRENCY


@pytest.mark.parametrize("way", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_no_child_outlives_its_parent(tmp_path: Path, way: str) -> None:
    with scene(tmp_path) as here:
        run = here.start("{name: devices, devices: [0, 1]}", "results")
        here.wait_for(30)
        pids = children(run.pid)
        assert len(pids) == 2
        run.send_signal(signal.Signals[way])
        _, errors = run.communicate(timeout=30)
        assert gone(pids)
        assert run.returncode == {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}[way]
        assert "Traceback" not in errors
        count = requests(here.logs)
        time.sleep(0.3)
        assert requests(here.logs) == count


def test_what_cannot_be_asked_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    with scene(tmp_path) as here:
        here.addresses["one"] = "http://127.0.0.1:9/v1"
        run = here.start("child", "results")
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 4
    assert "evalkit: cannot reach http://127.0.0.1:9/v1" in errors
    assert requests(here.logs[1:]) == ASKED


def test_a_gpu_is_what_a_child_is_for_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def on(device: str) -> bool:
        return holds_device(Checkpoint("a", options={"device": device}))

    monkeypatch.setattr("evalkit.backends.transformers_local.GPUS", ("/",))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert (on("auto"), on("cpu"), on("cuda:1")) == (True, False, True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert (on("auto"), on("cpu")) == (False, False)
    monkeypatch.setattr("evalkit.backends.transformers_local.GPUS", ("/no/gpu",))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert not on("auto")
