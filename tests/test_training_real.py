"""Real trainings by TRL from the outside: killed, starved of disk, on two devices, gated."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit import plugins
from evalkit.errors import TrainingError
from evalkit.events import Event, Note, silent
from evalkit.training import manifest
from evalkit.training import stage as training
from evalkit.types import Stage
from evalkit.verdict import Report
from tests.tiny_models import tiny_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ARGS: dict[str, Any] = {
    "use_cpu": True,
    "max_steps": 12,
    "logging_steps": 1,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-3,
    "save_strategy": "steps",
    "save_steps": 2,
}
TWO = """
compute_environment: LOCAL_MACHINE
distributed_type: MULTI_GPU
num_processes: 2
num_machines: 1
machine_rank: 0
main_process_port: 0
mixed_precision: 'no'
use_cpu: false
"""
# Runs a stage in a small file system of its own, makes room, and runs it again.
FULL = """
set -e
mount -t tmpfs -o size=900k none {runs}
{python} {script} {runs} || true
mount -o remount,size=64m {runs}
{python} {script} {runs}
"""
TRAIN = """
import sys
from pathlib import Path
from evalkit.training import stage as training
from evalkit.types import Stage
stage = Stage(**{stage!r})
try:
    print(training.train(stage, "base", Path(sys.argv[1]), print)[1])
except Exception as error:
    print(error)
    sys.exit(1)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model."""
    folder = tmp_path_factory.mktemp("real")
    tiny_model(folder / "base", template=True)
    (folder / "two.yaml").write_text(TWO)
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def stage(home: Path, **more: Any) -> Stage:
    data = {"task:mini-arithmetic": 1.0}
    return replace(Stage("sft", "sft", "", str(home / "base"), data, "", ARGS, 3), **more)


def weights(final: Path) -> bytes:
    return (final / "model.safetensors").read_bytes()


def wait_for(condition: Callable[[], Any], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    """The checkpoint of a training that nothing happened to."""
    final, _ = training.train(stage(home), "base", home / "whole", silent)
    return final


def test_a_training_killed_at_any_point_ends_with_the_weights_of_one_that_was_not(
    home: Path, whole: Path
) -> None:
    runs = home / "killed"
    code = TRAIN.format(stage=stage_fields(stage(home)))
    for step in (2, 6, 10):
        with subprocess.Popen([sys.executable, "-c", code, str(runs)]) as parent:
            wait_for(lambda step=step: reached(runs) >= step)  # type: ignore[misc]
            (lock,) = runs.rglob("lock")
            os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
            assert parent.wait() == 1
    told: list[Event] = []
    final, _ = training.train(stage(home), "base", runs, told.append)
    assert isinstance(told[0], Note)
    assert "training sft (sft) from step 1" in told[0].text
    assert weights(final) == weights(whole)


def stage_fields(of: Stage) -> dict[str, Any]:
    return {
        name: getattr(of, name) for name in ("name", "method", "parent", "data", "args", "seed")
    } | {"out": ""}


def reached(runs: Path) -> int:
    folders = [path for path in runs.glob("sft-*") if path.is_dir()]
    return max((e["step"] for f in folders for e in manifest.checkpoints(f)), default=0)


def test_a_full_disk_costs_no_checkpoint(home: Path, whole: Path) -> None:
    runs = home / "small"
    runs.mkdir()
    script = home / "train.py"
    script.write_text(TRAIN.format(stage=stage_fields(stage(home))))
    commands = FULL.format(runs=runs, python=sys.executable, script=script)
    unshare = ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("a file system of one's own is not allowed here")
    done = subprocess.run([*unshare, "sh", "-c", commands], capture_output=True, text=True)
    first, failed, second, identity = done.stdout.splitlines()
    assert first == "Note(text='training sft (sft)')"
    assert "no room left on the disk of" in failed
    assert second.startswith("Note(text='training sft (sft) from step ")
    made = json.loads((whole.parent / "done.json").read_text())["identity"]
    assert identity == made


def test_two_processes_train_what_one_does_with_twice_the_batch(home: Path) -> None:
    import torch
    from safetensors.torch import load_file

    rows = [json.dumps({"prompt": f"{n} + 1 =", "completion": str(n + 1)}) for n in range(96)]
    path = home / "sums.jsonl"
    path.write_text("\n".join(rows))
    both = stage(home, data={str(path): 1.0})
    args = {**ARGS, "per_device_train_batch_size": 8}
    one, _ = training.train(replace(both, args=args), "base", home / "one", silent)
    devices = replace(both, accelerate=str(home / "two.yaml"))
    two, _ = training.train(devices, "base", home / "two", silent)
    states = {path.name for path in (two.parent / "checkpoint-12").glob("rng_state*")}
    assert states == {"rng_state_0.pth", "rng_state_1.pth"}
    before, after = (load_file(each / "model.safetensors") for each in (one, two))
    start = load_file(home / "base" / "model.safetensors")
    apart = max((before[name] - after[name]).abs().max() for name in before)
    moved = max((before[name] - start[name]).abs().max() for name in before)
    assert apart < 0.02 * moved, (apart, moved)
    assert torch.isfinite(moved)


def test_a_worker_that_fails_says_why(home: Path, tmp_path: Path) -> None:
    rows = [json.dumps({"prompt": "ab " * n, "completion": "c"}) for n in (1, 2, 30, 1, 2, 3, 4, 5)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(rows))
    devices = stage(home, accelerate=str(home / "two.yaml"), data={str(path): 1.0})
    short = replace(devices, args={**ARGS, "max_length": 40, "max_steps": -1})
    with pytest.raises(TrainingError, match=r"sft failed: sft: .*rows\.jsonl: line 3 has 9"):
        training.train(short, "base", tmp_path / "runs", silent)


def test_workers_end_with_the_training_that_started_them(home: Path, tmp_path: Path) -> None:
    long = stage(home, accelerate=str(home / "two.yaml"), args={**ARGS, "max_steps": 100_000})
    code = TRAIN.format(stage={**stage_fields(long), "accelerate": long.accelerate})
    runs = tmp_path / "runs"
    with subprocess.Popen([sys.executable, "-c", code, str(runs)]) as parent:
        wait_for(lambda: reached(runs) >= 2)
        (spec,) = runs.rglob("launched.json")
        assert len(workers(spec)) >= 3  # a launcher and two workers
        (lock,) = runs.rglob("lock")
        os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
        assert parent.wait() == 1
    wait_for(lambda: not workers(spec), 60)


def workers(spec: Path) -> list[str]:
    """The processes that were started with this file, by number."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(spec).encode() in words and state not in "ZX":
            found.append(folder.name)
    return found


CONFIG = """\
baseline: base
checkpoints: [{{name: base, model: {base}}}]
pipeline:
  - name: sft
    method: sft
    parent: base
    data: task:mini-copy
    evaluate: [2]
    args: {{use_cpu: true, max_steps: 4, per_device_train_batch_size: 4, logging_steps: 1}}
  - name: dpo
    method: dpo
    parent: sft
    data: task:mini-copy
    args: {{use_cpu: true, max_steps: 2, per_device_train_batch_size: 2, logging_steps: 1}}
backend: {{name: transformers_local, device: cpu}}
tasks: [mini-copy]
gate: {{margins: {{copying: {{points: 30, gate: true}}}}}}
limit: 20
results: results
"""


def test_the_command_trains_asks_and_reports_and_the_second_time_only_reports(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.format(base=home / "base"))
    domain = plugins.task("mini-copy").domain
    text = (tmp_path / "c.yaml").read_text().replace("copying", domain)
    (tmp_path / "c.yaml").write_text(text)
    command = [sys.executable, "-m", "evalkit.cli", "train", "c.yaml", "--gate"]
    first, second = (
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True) for _ in range(2)
    )
    assert first.returncode in (0, 1, 3), first.stderr
    assert "training sft (sft)" in first.stderr
    assert "sft against base: " in first.stderr
    assert "training" not in second.stderr
    assert (first.returncode, first.stdout) == (second.returncode, second.stdout)
    report = Report.model_validate_json((tmp_path / "results/report/verdict.json").read_bytes())
    assert [note.name for note in report.checkpoints][:3] == ["base", "sft@2", "sft"]
    assert report.training[0].stage == "sft"
    shutil.rmtree(tmp_path / "results")
