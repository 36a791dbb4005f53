"""What has been trained is not trained again, and what went wrong is told with its log."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.errors import StoreError, TrainingError
from evalkit.events import Event, Note, silent
from evalkit.storage.lock import hold
from evalkit.training import stage as training
from evalkit.types import Stage
from tests.tiny_distribution import trainer_installed

TRAINER = """
    import json, os, signal, sys, time
    from pathlib import Path
    from evalkit import EvalkitError, Stage, Trainer

    def check(stage):
        pass

    def run(stage):
        how = stage.args.get("how", "")
        with open(Path(stage.out).parent / "calls", "a") as calls:
            calls.write(f"{stage.name}\\n")
        if how == "error":
            raise EvalkitError("the loss is not a number")
        if how == "crash":
            raise ZeroDivisionError
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "silent":
            os._exit(3)
        if how == "empty":
            return
        if how == "slow":
            print("slow", flush=True)
            time.sleep(600)
        if how == "onwards":
            onwards(stage)
        if how == "full":
            raise OSError(28, os.strerror(28))
        if how == "full inside":
            raise RuntimeError(f"write failed: {os.strerror(28)} (os error 28)")
        final = Path(stage.out) / "final"
        final.mkdir()
        (final / "model.safetensors").write_bytes(b"weights" + bytes([stage.seed]))
        (final / "config.json").write_text("{}")

    def onwards(stage):
        from evalkit.training import manifest
        out = Path(stage.out)
        done = [entry["step"] for entry in manifest.checkpoints(out)]
        step = max(done, default=0) + 1
        (out / f"checkpoint-{step}").mkdir()
        manifest.append(out, {"event": "checkpoint", "step": step, "path": f"checkpoint-{step}"})
        if step < 3:
            os.kill(os.getpid(), signal.SIGKILL)

    TRAINERS = (
        Trainer("writer", ("write",), run, check),
        Trainer("onwards", ("resume",), run, check, resumes=True),
    )
"""


@pytest.fixture(autouse=True)
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real trainer in a distribution of its own, which child processes find too."""
    with trainer_installed(tmp_path, monkeypatch, "evalkit_writer", TRAINER):
        yield


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder that keeps what was trained."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


STAGE = Stage("sft", "write", "")


def failing(how: str) -> Stage:
    return replace(STAGE, args={"how": how})


def train(stage: Stage, runs: Path, parent: str = "") -> tuple[Path, str]:
    return training.train(stage, parent, runs, silent)


def calls(runs: Path) -> int:
    return len((runs / "calls").read_text().split()) if (runs / "calls").exists() else 0


def test_a_stage_is_trained_once(runs: Path) -> None:
    told: list[Event] = []
    first = training.train(STAGE, "", runs, told.append)
    assert told == [Note("training sft (write)")]
    assert training.train(STAGE, "", runs, told.append) == first
    assert training.made(STAGE, "", runs) == first
    assert (calls(runs), len(told)) == (1, 1)
    assert json.loads((first[0].parent / "done.json").read_text())["identity"] == first[1]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"args": {"lr": 1}},
        {"reward": "task:mini-tools"},
        {"lora": {"r": 4}},
        {"accelerate": __file__},
    ],
)
def test_another_seed_argument_or_reward_is_another_run(
    runs: Path, change: dict[str, object]
) -> None:
    train(STAGE, runs)
    assert training.made(replace(STAGE, **change), "", runs) is None  # type: ignore[arg-type]


def test_another_parent_or_other_data_are_another_run(runs: Path, tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text("{}\n")
    stage = replace(STAGE, data={str(data): 1.0})
    train(stage, runs, "parent")
    assert training.made(stage, "other parent", runs) is None
    data.write_text("{ }\n")
    assert training.made(stage, "parent", runs) is None
    copy = data.rename(tmp_path / "e.jsonl")
    copy.write_text("{}\n")
    assert training.made(replace(STAGE, data={str(copy): 1.0}), "parent", runs) is not None


def test_what_is_evaluated_of_a_run_does_not_make_it_another(runs: Path) -> None:
    train(STAGE, runs)
    assert training.made(replace(STAGE, evaluate="every_save"), "", runs) is not None


def test_a_trainer_of_another_source_trains_again(runs: Path, tmp_path: Path) -> None:
    train(STAGE, runs)
    module = tmp_path / "site" / "evalkit_writer.py"
    module.write_text(module.read_text() + "# changed\n")
    assert training.made(STAGE, "", runs) is None


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("error", "stage sft failed: the loss is not a number; its log is "),
        ("crash", "stage sft failed: exit 1: ZeroDivisionError; its log is "),
        ("killed", r"stage sft failed: killed by SIGKILL \(out of memory\?\); its log is "),
        ("silent", "stage sft failed: exit 3: it printed nothing; its log is "),
        ("empty", "stage sft failed: no checkpoint at .*final: the folder does not exist; its log"),
    ],
)
def test_a_stage_that_fails_says_why_and_is_tried_again(runs: Path, how: str, said: str) -> None:
    for _ in range(2):
        with pytest.raises(TrainingError, match=said):
            train(failing(how), runs)
    assert calls(runs) == 2
    assert training.made(failing(how), "", runs) is None


def test_what_a_dead_stage_left_is_cleared_before_it_runs_again(runs: Path) -> None:
    with pytest.raises(TrainingError):
        train(failing("killed"), runs)
    (folder,) = [path for path in runs.iterdir() if path.is_dir()]
    (folder / "checkpoint-7").mkdir()
    (folder / "checkpoint-7" / "half").write_text("")
    with pytest.raises(TrainingError):
        train(failing("killed"), runs)
    assert not (folder / "checkpoint-7").exists()


def test_a_trainer_that_resumes_finds_what_it_had_saved(runs: Path) -> None:
    stage = Stage("sft", "resume", "", args={"how": "onwards"})
    told: list[Event] = []
    for _ in range(2):
        with pytest.raises(TrainingError, match="killed by SIGKILL"):
            training.train(stage, "", runs, told.append)
    final, _ = training.train(stage, "", runs, told.append)
    assert told == [
        Note("training sft (resume)"),
        Note("training sft (resume) from step 1"),
        Note("training sft (resume) from step 2"),
    ]
    assert sorted(path.name for path in final.parent.glob("checkpoint-*")) == [
        "checkpoint-1",
        "checkpoint-2",
        "checkpoint-3",
    ]


@pytest.mark.parametrize("how", ["full", "full inside"])
def test_a_full_disk_is_called_one(runs: Path, how: str) -> None:
    with pytest.raises(TrainingError, match=r"no room left on the disk of .*what was saved whole"):
        train(failing(how), runs)


def test_why_is_told_of_this_attempt_and_not_of_the_one_before(runs: Path) -> None:
    stage = Stage("sft", "resume", "", args={"how": "error"})
    with pytest.raises(TrainingError, match="the loss is not a number"):
        train(stage, runs)
    (log,) = runs.rglob("train.log")
    log.write_text("evalkit: something that was mended since\n" + log.read_text())
    with pytest.raises(TrainingError, match="failed: the loss is not a number"):
        train(stage, runs)


def test_two_runs_do_not_train_one_stage_at_once(runs: Path) -> None:
    folder, _ = train(STAGE, runs)
    (folder.parent / "done.json").unlink()
    with (
        hold(folder.parent / "lock"),
        pytest.raises(StoreError, match="is being written by process"),
    ):
        train(STAGE, runs)
    assert (folder / "model.safetensors").exists()


def test_what_another_run_has_just_finished_is_not_cleared_away(runs: Path) -> None:
    folder, _ = train(STAGE, runs)
    assert training._remove_remains(folder.parent) is False
    assert (folder / "model.safetensors").exists()


def test_weights_overwritten_since_are_another_checkpoint(runs: Path) -> None:
    folder, before = train(STAGE, runs)
    (folder / "model.safetensors").write_bytes(b"others")
    assert train(STAGE, runs)[1] != before
    assert calls(runs) == 1


def test_weights_that_were_removed_keep_their_identity(runs: Path) -> None:
    folder, before = train(STAGE, runs)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert train(STAGE, runs) == (folder, before)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_mark_says_what_to_do(runs: Path, text: str) -> None:
    folder, _ = train(STAGE, runs)
    (folder.parent / "done.json").write_text(text)
    with pytest.raises(TrainingError, match=r"done\.json cannot be read: remove it to train again"):
        train(STAGE, runs)


def test_a_stage_not_trained_yet_is_an_error_where_nothing_may_be_trained(runs: Path) -> None:
    with pytest.raises(TrainingError, match="has not been trained as the config has it now"):
        training.found(STAGE, "", runs, silent)


def test_a_training_ends_with_the_run_that_started_it(runs: Path) -> None:
    code = (
        "from pathlib import Path; from evalkit.training import stage;"
        "from evalkit.events import silent;"
        "from evalkit.types import Stage;"
        f"stage.train(Stage('s', 'write', '', args={{'how': 'slow'}}), '', Path({str(runs)!r}),"
        " silent)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        wait_for(lambda: any("slow" in log.read_text() for log in runs.rglob("train.log")))
        (lock,) = runs.rglob("lock")
        child = json.loads(lock.read_text())["pid"]
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not running(child))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_that_is_process_1_of_its_container_can_train(runs: Path) -> None:
    code = (
        "import os; assert os.getpid() == 1;"
        "from pathlib import Path; from evalkit.training import stage;"
        "from evalkit.events import silent;"
        "from evalkit.types import Stage;"
        f"stage.train(Stage('s', 'write', ''), '', Path({str(runs)!r}), silent)"
    )
    command = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", code]
    probe = subprocess.run([*command[:4], "true"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("a process namespace of one's own is not allowed here")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(runs.rglob("done.json"))) == 1
