"""Runs watched while real processes write them: kept, evaluated once each, and never half."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evalkit.cli import main
from evalkit.errors import ConfigError, ModelError, StoreError
from evalkit.events import Event, silent
from evalkit.storage import lock
from evalkit.storage.files import gather
from evalkit.training import manifest
from evalkit.watching import evaluation, keeping, registering
from evalkit.watching.finding import found
from evalkit.watching.subject import Watch, compared
from evalkit.watching.surroundings import scrubbed
from evalkit.watching.watch import Manner, follow, until_over
from tests.layouts import LAYOUTS, apply, trainer
from tests.processes import alive, children, wait_for
from tests.tiny_models import tiny_model

ROOT = Path(__file__).parents[1]
CONFIG = """\
baseline: base
checkpoints:
  - {{name: base, model: {model}, backend: {{name: echo, skill: 0.6}}}}
backend: {{name: echo, skill: 0.5}}
tasks: [mini-arithmetic]
limit: 4
reports: [markdown]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), template=True)


@pytest.fixture
def config(model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.format(model=model))
    return path


@contextmanager
def writer(layout: str, model: Path, run: Path, **given: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes a run's checkpoints."""
    spec = {"layout": layout, "model": str(model), "run": str(run), **given}
    command = [sys.executable, "-m", "tests.writers", json.dumps(spec)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def watched(run: Path, config: Path, **given: str) -> Watch:
    results = config.parent / "results"
    place = keeping.folder(results, run, "run")
    return Watch("run", str(run), str(place), str(config), str(results), **given)


def followed(watch: Watch, over: Callable[[], bool], **given: Any) -> tuple[list[str], list[str]]:
    """What could not be evaluated, and what was said."""
    said: list[str] = []

    def notify(event: Event) -> None:
        said.append(str(getattr(event, "text", event)))

    failed = follow(watch, Manner(over, **{"every": 0.05, "settled": 0.5, **given}), notify)
    return failed, said


def gone(process: subprocess.Popen[bytes]) -> Callable[[], bool]:
    return lambda: process.poll() is not None


def evaluated(watch: Watch) -> list[str]:
    return list(keeping.evaluated(watch.folder))


SLOW = [pytest.param(name, marks=pytest.mark.integration) for name in ("OpenRLHF", "open-instruct")]


@pytest.mark.parametrize("layout", ["Trainer", "verl", "NeMo RL", *SLOW])
def test_every_checkpoint_of_a_slow_writer_that_rotates_is_evaluated_once(
    layout: str, model: Path, config: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    watch = watched(run, config)
    with writer(layout, model, run, steps=[5, 10], pause=0.15, keep=1) as process:
        failed, said = followed(watch, gone(process), settled=0.3)
    assert failed == []
    assert evaluated(watch) == ["step-5", "step-10"]
    assert [text for text in said if "warning" in text] == []
    known = keeping.registered(watch.folder)
    assert len({entry["identity"] for entry in known.values()}) == 2
    assert [entry["step"] for entry in known.values()] == [5, 10]
    assert len(found(run, 0.0)) == 1  # the other was rotated away
    assert not any(path.is_dir() for path in watch.folder.glob("step-*"))  # let go of


def test_a_writer_that_is_killed_half_way_leaves_nothing_to_evaluate(
    model: Path, config: Path, tmp_path: Path
) -> None:
    watch = watched(tmp_path / "run", config)
    with writer("Trainer", model, tmp_path / "run", steps=[5, 10], die=10) as process:
        failed, _ = followed(watch, gone(process))
    assert process.returncode == -signal.SIGKILL
    half = tmp_path / "run" / "checkpoint-10" / "model.safetensors"
    assert 0 < half.stat().st_size < (model / "model.safetensors").stat().st_size
    assert failed == []
    assert evaluated(watch) == ["step-5"]


def laid(run: Path, model: Path, layout: str = "Trainer") -> Path:
    for operation in next(each for each in LAYOUTS if each.name == layout).writes(model):
        list(apply(run, operation))
    return run


def once(run: Path, config: Path) -> tuple[Watch, list[str], list[str]]:
    watch = watched(run, config)
    failed, said = followed(watch, lambda: False, once=True, settled=0.0)
    return watch, failed, said


def answers(results: Path) -> dict[str, int]:
    """When each answer of each cell was written."""
    files = results.rglob("answers.parquet")
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_a_second_watch_repeats_nothing(model: Path, config: Path, tmp_path: Path) -> None:
    run = laid(tmp_path / "run", model)
    watch, failed, _ = once(run, config)
    before, noted = answers(tmp_path / "results"), manifest.read(watch.folder)
    assert (failed, len(before)) == ([], 2)
    shutil.rmtree(run / "checkpoint-5")  # as far as evalkit is concerned it may go
    _, failed, said = once(run, config)
    assert (failed, said) == ([], [])
    assert answers(tmp_path / "results") == before
    assert manifest.read(watch.folder) == noted


def test_an_evaluation_says_what_it_found_and_where_it_comes_from(
    model: Path, config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    watch, _, said = once(laid(tmp_path / "run", model), config)
    assert said == ["kept run@5", "evaluating run@5"]
    shown = capfd.readouterr().out
    assert "run@5 against base" in shown
    assert "on the way, decides nothing" in shown
    entry, done = manifest.read(watch.folder)
    assert (entry["event"], entry["step"], entry["run"]) == ("checkpoint", 5, "run")
    assert entry["source"] == str(tmp_path / "run" / "checkpoint-5")
    assert entry["train"]["loss"] == 0.5
    assert entry["parent"] == {"name": ""} or entry["parent"]["name"]
    assert (done["event"], done["path"]) == ("evaluated", "step-5")
    report = (watch.folder / "report" / "report.md").read_text()
    assert "run@5" in report
    curves = (watch.folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(curves[0])["loss"] == 0.5


def test_a_checkpoint_is_kept_by_links_that_take_no_room(model: Path, tmp_path: Path) -> None:
    (each,) = found(laid(tmp_path / "run", model), 0.0)
    assert keeping.keep(each, tmp_path / "kept")
    for name, source in each.saved.files.items():
        assert Path(source).samefile(tmp_path / "kept" / "step-5" / name)


MEMORY = Path("/dev/shm")
ELSEWHERE = MEMORY.is_dir() and MEMORY.stat().st_dev != Path("/tmp").stat().st_dev


@pytest.mark.skipif(not ELSEWHERE, reason="there is no second file system here")
def test_across_file_systems_a_checkpoint_is_copied(model: Path) -> None:
    place = MEMORY / f"evalkit-test-{os.getpid()}"
    try:
        gather({path.name: str(path) for path in model.iterdir()}, place)
        for path in model.iterdir():
            assert (place / path.name).read_bytes() == path.read_bytes()
            assert not path.samefile(place / path.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_a_trainer_that_writes_into_what_was_kept_is_told(
    model: Path, config: Path, tmp_path: Path
) -> None:
    run = laid(tmp_path / "run", model)
    watch = watched(run, config)
    (each,) = found(run, 0.0)
    kept = keeping.keep(each, watch.folder)
    assert kept
    registering.register(watch, kept, "")
    weights = run / "checkpoint-5" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")  # in place: the link shows it too
    with pytest.raises(ModelError, match=r"run@5 was overwritten by its trainer since it was kept"):
        evaluation.evaluate(watch, "step-5")


def test_what_cannot_be_evaluated_is_told_and_does_not_stop_the_rest(
    model: Path, config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace(f"model: {model}, ", ""))
    run = laid(tmp_path / "run", model)
    shutil.copytree(run / "checkpoint-5", run / "checkpoint-7")
    (run / "checkpoint-5" / "tokenizer.json").unlink()
    watch, failed, said = once(run, config)
    assert failed == ["run@5"]  # and the base, from which it would be taken, is no folder
    assert evaluated(watch) == ["step-7"]
    assert any(text.startswith("warning: run@5 could not be evaluated") for text in said)
    reason = "no model could be made of it: there is no tokenizer; name the model that it was"
    assert reason in capfd.readouterr().err
    _, again, said = once(run, config)
    assert again == ["run@5"]
    assert [text for text in said if text.startswith("evaluating")] == ["evaluating run@5"]


def test_a_checkpoint_without_a_tokenizer_takes_that_of_its_parent(
    model: Path, config: Path, tmp_path: Path
) -> None:
    run = laid(tmp_path / "run", model)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (run / "checkpoint-5" / name).unlink()
    watch, failed, _ = once(run, config)
    assert (failed, evaluated(watch)) == ([], ["step-5"])


def test_what_no_model_can_be_made_of_here_is_told_once_and_fails_the_watch(
    model: Path, config: Path, tmp_path: Path
) -> None:
    run = laid(tmp_path / "run", model, "verl, Megatron alone")
    looks = iter([False, False, True])
    failed, said = followed(watched(run, config), lambda: next(looks))
    assert failed == [str(run / "global_step_5" / "actor")]
    (text,) = said
    assert "verl.model_merger merge --backend megatron" in text


def test_a_config_that_has_a_checkpoint_of_that_name_is_told(
    model: Path, config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = "backend: {name: echo, skill: 0.5}"
    own = f"  - {{name: run@5, {echo}}}\n{echo}"
    config.write_text(config.read_text().replace(echo, own))
    _, failed, _ = once(laid(tmp_path / "run", model), config)
    assert failed == ["run@5"]
    assert "has its own run@5: give another --name" in capfd.readouterr().err


def test_the_parent_is_one_of_the_configs(config: Path, tmp_path: Path) -> None:
    watch = watched(tmp_path / "run", config, parent="bsae")
    with pytest.raises(ConfigError, match=r"--parent: .* has no checkpoint 'bsae'; did you mean"):
        compared(watch)


def test_two_watches_of_one_run_are_one_too_many(config: Path, tmp_path: Path) -> None:
    watch = watched(tmp_path / "run", config)
    watch.folder.mkdir(parents=True)
    with lock.hold(watch.folder / "lock"), pytest.raises(StoreError):
        follow(watch, Manner(lambda: True), silent)


# ----------------------------------------------------------------------------- when it is over


def test_a_stage_is_over_once_nobody_trains_it(tmp_path: Path) -> None:
    (tmp_path / "stage.json").write_text("{}")
    over = until_over(tmp_path, None)
    with lock.hold(tmp_path / "lock"):
        assert not over()
    assert over()


def test_a_process_that_is_named_ends_the_watch(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        over = until_over(tmp_path, process.pid)
        assert not over()
        process.communicate()
    assert over()


def test_a_folder_alone_is_never_over(tmp_path: Path) -> None:
    assert not until_over(tmp_path, None)()


# ------------------------------------------------------------------------------- the command


@contextmanager
def command(
    run: Path, config: Path, *words: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", "evalkit.cli", "watch", str(run), "--config", str(config), *words]
    with subprocess.Popen(
        [*line, "--results", str(config.parent / "results"), "--every", "0.1"], cwd=ROOT,
        env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


LAUNCHERS = {"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "node1", "CUDA_VISIBLE_DEVICES": "7"}


def test_a_watch_that_is_ended_leaves_no_evaluation_behind_and_goes_on_later(
    model: Path, config: Path, tmp_path: Path
) -> None:
    run = laid(tmp_path / "run", model)
    with command(run, config, **LAUNCHERS) as process:
        wait_for(lambda: bool(children(process.pid)))
        (child,) = children(process.pid)
        wait_for(lambda: b"evaluation" in Path(f"/proc/{child}/cmdline").read_bytes())
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert process.returncode not in (0, 4)
    wait_for(lambda: not alive(child))
    names = {each.partition(b"=")[0].decode() for each in environment}
    assert not names & set(LAUNCHERS)
    assert "PATH" in names
    with command(run, config, "--once") as process:
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert out.count("run@5 against base") == 1
    assert "kept" not in err  # it was kept before


def test_a_killed_watch_takes_its_evaluation_with_it(
    model: Path, config: Path, tmp_path: Path
) -> None:
    run = laid(tmp_path / "run", model)
    with command(run, config) as process:
        wait_for(lambda: bool(children(process.pid)))
        (child,) = children(process.pid)
        wait_for(lambda: b"evaluation" in Path(f"/proc/{child}/cmdline").read_bytes())
        time.sleep(1.0)  # it asks the kernel to be told of its parent's end
        process.kill()
    wait_for(lambda: not alive(child))


@pytest.mark.parametrize(
    ("environment", "devices", "kept"),
    [
        ({"HOME": "/h", "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}, "", {"HOME": "/h"}),
        ({"MASTER_PORT": "1", "RAY_ADDRESS": "x", "TORCHELASTIC_RUN_ID": "x"}, "", {}),
        ({"ACCELERATE_USE_FSDP": "1", "FSDP_VERSION": "2", "DEEPSPEED_X": "1"}, "", {}),
        ({"PYTORCH_CUDA_ALLOC_CONF": "x", "CUDA_VISIBLE_DEVICES": "0,1"}, "3",
         {"CUDA_VISIBLE_DEVICES": "3"}),
        ({"HF_HOME": "/cache", "RANKING": "kept"}, "", {"HF_HOME": "/cache", "RANKING": "kept"}),
    ],
)  # fmt: skip
def test_a_launchers_variables_do_not_reach_an_evaluation(
    environment: Mapping[str, str], devices: str, kept: Mapping[str, str]
) -> None:
    assert scrubbed(environment, devices) == kept


# ----------------------------------------------------------------------------- add-checkpoint


Ran = Callable[..., tuple[int, str]]


@pytest.fixture
def ran(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Runs the command in this process; its exit code, and all that it said."""

    def call(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["evalkit", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        return code, "".join(capfd.readouterr())

    return call


@pytest.mark.integration
def test_any_model_can_be_added_and_is_then_evaluated_by_its_real_engine(
    model: Path, tmp_path: Path, ran: Ran
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"baseline: base\ncheckpoints: [{{name: base, model: {model}}}]\n"
        "backend: {name: transformers_local, device: cpu}\ntasks: [mini-arithmetic]\nlimit: 2\n"
    )
    mine = tmp_path / "mine"
    shutil.copytree(model, mine)
    told = ("--step", 300, "--method", "sft", "--parent", "base")
    code, said = ran("add-checkpoint", tmp_path / "runs" / "mine", mine, *told)
    assert code == 0, said
    assert said.startswith("mine@300\t")
    assert ran("add-checkpoint", tmp_path / "runs" / "mine", mine, *told) == (0, said)
    (entry,) = manifest.read(tmp_path / "runs" / "mine")
    assert (entry["method"], entry["parent"]) == ("sft", {"name": "base"})
    with command(tmp_path / "runs" / "mine", config, "--once") as process:
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert "mine@300 against base" in out
    place = keeping.folder(tmp_path / "results", tmp_path / "runs" / "mine", "mine")
    assert keeping.registered(place)["step-300"]["method"] == "sft"


def test_what_is_no_whole_model_is_not_added(model: Path, tmp_path: Path, ran: Ran) -> None:
    half = tmp_path / "half"
    shutil.copytree(model, half)
    os.truncate(half / "model.safetensors", 1000)
    code, said = ran("add-checkpoint", tmp_path / "run", half, "--step", 1)
    assert code != 0
    assert f"{half} is no whole model: model.safetensors is not whole" in said
    assert not (tmp_path / "run").exists()


def test_a_step_is_one_model(model: Path, tmp_path: Path, ran: Ran) -> None:
    other = tmp_path / "other"
    shutil.copytree(model, other)
    weights = (other / "model.safetensors").read_bytes()
    (other / "model.safetensors").write_bytes(weights[:-1] + b"!")
    assert ran("add-checkpoint", tmp_path / "run", model, "--step", 1)[0] == 0
    code, said = ran("add-checkpoint", tmp_path / "run", other, "--step", 1)
    assert code != 0
    assert "has another checkpoint of step 1: give another --step" in said


def test_a_torn_line_of_a_manifest_is_dropped_when_the_next_is_added(
    model: Path, tmp_path: Path, ran: Ran
) -> None:
    ran("add-checkpoint", tmp_path, model, "--step", 1)
    with (tmp_path / manifest.NAME).open("ab") as file:
        file.write(b'{"event": "check')  # the machine was switched off here
    ran("add-checkpoint", tmp_path, model, "--step", 2)
    assert [entry["step"] for entry in manifest.read(tmp_path)] == [1, 2]


@pytest.mark.parametrize("line", [b"[]\n", b"{\n", b"\xff\n"])
def test_a_manifest_that_is_none_is_told_by_its_line(line: bytes, tmp_path: Path) -> None:
    (tmp_path / manifest.NAME).write_bytes(b'{"event": "x"}\n' + line)
    with pytest.raises(StoreError, match=r"evalkit\.jsonl:2: not an entry of a manifest"):
        manifest.read(tmp_path)


def test_trainers_write_in_the_order_that_the_tests_say(model: Path) -> None:
    names: Sequence[str] = [str(operation[0]) for operation in trainer(model)]
    assert names[-1].endswith("trainer_state.json")
