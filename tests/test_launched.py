"""Launched frameworks, end to end but for the training: stand-ins that behave on disk as they do.

The command, the process, the log, the reward, the checkpoints and their export are real.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from evalkit import Stage, plugins
from evalkit.errors import ConfigError, TrainingError
from evalkit.events import silent
from evalkit.training import curves
from evalkit.training import stage as training
from evalkit.training.manifest import read
from tests import stand_in
from tests.processes import alive, wait_for
from tests.tiny_models import tiny_model
from trainers import _leash

FRAMEWORKS = ("openrlhf", "verl", "nemo-rl")
ROOT = Path(__file__).parents[1]
ROWS = [{"prompt": f"What is {n}?", "completion": f"It is {n}.", "n": n} for n in range(3)]
REWARD = """
def graded(prompt, completion, row):
    return row["n"] / 2 if completion == "an answer" else -1.0
def raising(prompt, completion, row):
    return 1 / (row["n"] - 1) if completion == "an answer" else 0.0
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base"), template=True)


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def runs(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a GRPO run of every framework."""
    places = {name: tmp_path_factory.mktemp(name) for name in FRAMEWORKS}
    return {name: train(stage(name, "grpo", base, place), place) for name, place in places.items()}


def how(monkeypatch: pytest.MonkeyPatch, **given: Any) -> None:
    monkeypatch.setenv("STAND_IN", json.dumps(given))


def stage(framework: str, method: str, base: Path, tmp_path: Path, **given: Any) -> Stage:
    """A stage of a framework whose environment has the stand-in."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "reward.py").write_text(REWARD)
    where: dict[str, Any] = {"launch": "local", "launch_options": [], "gpus": 1}
    if framework == "nemo-rl":
        cwd = tmp_path / "RL"
        where |= {"cwd": str(cwd if cwd.exists() else stand_in.checkout(cwd))}
        where["python"] = sys.executable
    else:
        python = tmp_path / "env" / "python"
        made = python if python.exists() else stand_in.environment(tmp_path / "env", framework)
        where["python"] = str(made)
    rewarded = method in ("grpo", "rloo", "ppo")
    reward = f"{tmp_path / 'reward.py'}:graded" if rewarded else ""
    options = {**where, **given.pop("options", {})}
    return Stage(
        **{
            "name": "tuned",
            "method": method,
            "out": "",
            "parent": str(base),
            "data": {str(tmp_path / "rows.jsonl"): 1.0},
            "reward": reward,
            "seed": 3,
            "trainer": framework,
            "options": options,
            "lineage": {"parent": "base"},
            **given,
        }
    )


def train(made: Stage, tmp_path: Path) -> Path:
    plugins.trainer(made.method, made.trainer).check(made)
    return training.train(made, "of the base", tmp_path / "runs", silent)[0].parent


def paths(run: Path) -> list[tuple[str, int]]:
    return [(entry["path"], entry["step"]) for entry in read(run)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_job_leaves_models_that_load(framework: str, runs: dict[str, Path]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run, loader = runs[framework], cast(Any, AutoModelForCausalLM)
    assert paths(run) == [("checkpoint-2", 2), ("final", 4)]
    for name, _ in paths(run):
        model, told = loader.from_pretrained(run / name, output_loading_info=True)
        assert model is not None
        assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        assert AutoTokenizer.from_pretrained(run / name).decode([5])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_manifest_says_what_each_checkpoint_is_made_of(
    framework: str, runs: dict[str, Path]
) -> None:
    last = read(runs[framework])[-1]
    assert last["backend"] == framework
    assert last["backend_version"] in ("0.11.2", "0.9.1", "0.6.0")
    assert last["parent"] == {"name": "base", "identity": "of the base"}
    assert last["data"][0]["weight"] == 1.0
    assert re.fullmatch("[0-9a-f]{64}", last["data"][0]["sha256"])
    assert last["reward"]["name"].endswith("reward.py:graded")
    assert (last["seed"], last["method"]) == (3, "grpo")
    assert last["bytes"] > 1000


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_was_started_and_how_it_ended_is_kept(framework: str, runs: dict[str, Path]) -> None:
    record = json.loads((runs[framework] / "job" / "job.json").read_text())
    assert record["exit_code"] == 0
    assert record["ended"] >= record["started"]
    log = (runs[framework] / "train.log").read_text()
    assert " begins\n" in log
    assert " ends\n" in log


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_users_one_function_is_the_reward_of_every_framework(
    framework: str, runs: dict[str, Path]
) -> None:
    said = re.findall(r"^reward (.*)$", (runs[framework] / "train.log").read_text(), re.M)
    assert said == ["0.0", "0.5", "1.0"]
    assert not (runs[framework] / "job" / "reward.error").exists()


def test_what_a_framework_logs_becomes_curves_under_the_common_names(
    runs: dict[str, Path],
) -> None:
    found = curves.read(runs["openrlhf"])
    assert [step for step, _ in found["loss"]] == [1, 2, 3]
    assert [value for _, value in found["loss"]] == pytest.approx([1.0, 0.5, 1 / 3])
    assert found["kl"][-1][1] == pytest.approx(0.03)
    assert set(found) == {"loss", "kl", "learning_rate"}
    found = curves.read(runs["verl"])
    assert found["loss"] == [(2, 0.5), (4, 0.25)]
    assert found["entropy"] == [(2, 0.5), (4, 0.5)]
    assert found["reward"][0] == (2, 0.25)
    assert found["completions/clipped_ratio"][0] == (2, 0.0)
    assert curves.read(runs["nemo-rl"])["learning_rate"][0][1] == pytest.approx(1e-6)


@pytest.mark.integration
def test_torchruns_own_launcher_is_driven_by_the_command(base: Path, tmp_path: Path) -> None:
    assert paths(train(stage("verl", "sft", base, tmp_path), tmp_path))[-1] == ("final", 4)


def test_a_tasks_scorer_is_a_reward_there_too(base: Path, tmp_path: Path) -> None:
    made = stage("verl", "grpo", base, tmp_path, reward="task:mini-arithmetic",
                 data={"task:mini-arithmetic": 1.0})  # fmt: skip
    run = train(made, tmp_path)
    assert "\nreward 0.0\n" in (run / "train.log").read_text()


@pytest.mark.parametrize("framework", ["openrlhf", "nemo-rl"])
def test_a_reward_that_raises_ends_the_job_and_names_the_row(
    framework: str, base: Path, tmp_path: Path
) -> None:
    made = stage(framework, "grpo", base, tmp_path, reward=f"{tmp_path / 'reward.py'}:raising")
    with pytest.raises(TrainingError) as caught:
        train(made, tmp_path)
    assert "raising on the row of" in str(caught.value)
    assert "rows.jsonl: line 2: ZeroDivisionError: division by zero" in str(caught.value)


def test_what_was_saved_before_a_job_failed_is_kept(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how(monkeypatch, fail=2)
    made = stage("verl", "grpo", base, tmp_path)
    with pytest.raises(TrainingError, match=r"the job of verl ended with exit code 3; its log is"):
        train(made, tmp_path)
    (run,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    assert paths(run) == [("checkpoint-2", 2)]
    assert "CUDA error: out of memory" in (run / "train.log").read_text()
    assert not (run / "final").exists()
    how(monkeypatch)
    assert paths(train(made, tmp_path)) == [("checkpoint-2", 2), ("final", 4)]


def test_rotated_checkpoints_are_not_looked_for(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how(monkeypatch, steps=8, keep=2)
    run = train(stage("nemo-rl", "sft", base, tmp_path), tmp_path)
    assert paths(run) == [("checkpoint-6", 6), ("final", 8)]


WATCHED = """\
baseline: base
checkpoints: [{{name: base, model: {base}, backend: {{name: echo, skill: 0.6}}}}]
backend: {{name: echo, skill: 0.5}}
tasks: [mini-arithmetic]
limit: 4
"""


@pytest.mark.integration
def test_a_launched_stage_can_be_watched_while_it_runs(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how(monkeypatch, pause=0.6, keep=1)
    config, runs = tmp_path / "c.yaml", tmp_path / "runs"
    config.write_text(WATCHED.format(base=base))
    with harness(stage("verl", "grpo", base, tmp_path), runs) as training_it:
        wait_for(lambda: any(runs.glob("*/job/global_step_*")))
        (run,) = runs.iterdir()
        line = [sys.executable, "-m", "evalkit.cli", "watch", str(run), "--config", str(config)]
        line += ["--results", str(tmp_path / "results"), "--every", "0.1"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=200, check=False)
        assert training_it.wait(60) == 0
    assert done.returncode == 0, done.stderr
    (place,) = (tmp_path / "results" / "watched").iterdir()
    known = {entry["path"]: entry for entry in read(place) if entry["event"] == "checkpoint"}
    assert set(known) >= {"step-2", "final"}
    assert known["step-2"]["method"] == "grpo"
    assert known["step-2"]["data"][0]["sha256"]
    assert {entry["path"] for entry in read(place) if entry["event"] == "evaluated"} == set(known)
    assert "tuned@2 against base" in done.stdout
    assert "tuned against base" in done.stdout
    assert "entropy" in curves.read(place)


@contextmanager
def harness(made: Stage, runs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that trains a stage; it is ended, whatever becomes of the test."""
    code = (
        "import json, sys; from pathlib import Path; from evalkit.training import stage;"
        "from evalkit.events import silent; from evalkit.types import Stage;"
        "stage.train(Stage(**json.loads(sys.argv[1])), '', Path(sys.argv[2]), silent)"
    )
    spec = json.dumps({name: getattr(made, name) for name in Stage.__dataclass_fields__})
    command = [sys.executable, "-c", code, spec, str(runs)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        try:
            yield running
            running.wait(60)
        finally:
            running.kill()


def left_behind(runs: Path) -> int:
    """The process that a hanging job has left behind, once it has."""
    found: list[str] = []

    def said() -> bool:
        for log in runs.rglob("train.log"):
            found.extend(re.findall(r"left behind: (\d+)\n", log.read_text()))
        return bool(found)

    wait_for(said)
    return int(found[0])


@pytest.mark.parametrize(
    ("kind", "manner"),
    [(signal.SIGKILL, "deaf"), (signal.SIGTERM, True), (signal.SIGINT, True)],
)
def test_a_killed_harness_leaves_no_orphan(
    kind: signal.Signals,
    manner: object,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how(monkeypatch, hang=manner)
    with harness(stage("openrlhf", "sft", base, tmp_path), tmp_path / "runs") as running:
        lost = left_behind(tmp_path / "runs")
        every = _leash._descendants(running.pid)
        assert lost in every
        assert len(every) >= 4
        running.send_signal(kind)
    wait_for(lambda: not any(map(alive, every)))


SBATCH = """#!/bin/sh
echo "sbatch $*" >> {calls}
for word in "$@"; do
  case "$word" in
    --wrap=*) script="${{word#--wrap=}}";; --output=*) out="${{word#--output=}}";;
    --job-name=*) name="${{word#--job-name=}}";; --chdir=*) cd "${{word#--chdir=}}";;
  esac
done
echo "Submitted batch job 7"
setsid sh -c "$script" >> "$out" 2>&1 &
echo $! > {calls}.$name
wait $!
"""
SCANCEL = """#!/bin/sh
echo "scancel $*" >> {calls}
name="${{1#--name=}}"
kill -9 -$(cat {calls}.$name)
"""
RAY = """#!/bin/sh
echo "ray $*" >> {calls}
test "$2" = stop && exit 0
while test "$1" != --; do shift; done
shift
exec "$@"
"""


def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that are called as Slurm's and Ray's are, on this machine."""
    calls, folder = tmp_path / "calls", tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL), ("ray", RAY)):
        (folder / name).write_text(text.format(calls=calls))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return calls


@pytest.mark.parametrize("launch", ["sbatch", "ray"])
def test_a_cluster_runs_the_same_job_with_the_users_own_options(
    launch: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = cluster(tmp_path, monkeypatch)
    given = {"sbatch": ["--time=8:00:00", "--gpus=8"], "ray": ["--address=http://head:8265"]}
    options = {"launch": launch, "launch_options": given[launch]}
    run = train(stage("nemo-rl", "grpo", base, tmp_path, options=options), tmp_path)
    assert paths(run)[-1] == ("final", 4)
    (call,) = calls.read_text().splitlines()
    assert call.startswith({"sbatch": "sbatch --wait ", "ray": "ray job submit "}[launch])
    assert all(option in call for option in given[launch])
    log = (run / "train.log").read_text()
    assert "registered evalkit evalkit_nemo.RewardEnvironment" in log
    assert "nemo ends" in log


def test_a_cluster_job_that_fails_is_told_with_its_code(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster(tmp_path, monkeypatch)
    how(monkeypatch, fail=1)
    made = stage("openrlhf", "sft", base, tmp_path, options={"launch": "sbatch"})
    with pytest.raises(TrainingError, match=r"the job of openrlhf ended with exit code 3"):
        train(made, tmp_path)


def test_ending_the_harness_takes_the_job_back_from_the_cluster(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = cluster(tmp_path, monkeypatch)
    how(monkeypatch, hang=True)
    made = stage("openrlhf", "sft", base, tmp_path, options={"launch": "sbatch"})
    with harness(made, tmp_path / "runs") as running:
        lost = left_behind(tmp_path / "runs")
        running.send_signal(signal.SIGKILL)
    wait_for(lambda: "scancel --name=evalkit-tuned-" in calls.read_text())
    os.kill(lost, signal.SIGKILL)  # it left its session: Slurm's own cgroup would end it


def test_a_python_without_the_framework_is_told_before_anything_runs(
    base: Path, tmp_path: Path
) -> None:
    made = stage("verl", "sft", base, tmp_path, options={"python": sys.executable})
    with pytest.raises(ConfigError, match=r"trainer: python: .* has no verl: give the python of"):
        plugins.trainer("sft", "verl").check(made)
    made = stage("verl", "sft", base, tmp_path, options={"python": "/no/python"})
    with pytest.raises(ConfigError, match=r"trainer: python: /no/python is not there, nor verl"):
        plugins.trainer("sft", "verl").check(made)


@pytest.mark.parametrize(
    ("framework", "given", "said"),
    [
        ("verl", {"args": {"data.train_batch_sise": 8}},
         "args: sft_trainer_engine.yaml of verl 0.9.1 has no 'data.train_batch_sise'; "
         "did you mean 'data.train_batch_size'?"),
        ("openrlhf", {"args": {"adam.lrr": 1}},
         "args: train_sft.py of openrlhf 0.11.2 has no 'adam.lrr'; did you mean 'adam.lr'?"),
        ("nemo-rl", {"args": {"policy.presicion": "x"}},
         "args: sft.yaml of NeMo RL 0.6.0 has no 'policy.presicion'; "
         "did you mean 'policy.precision'?"),
        ("verl", {"options": {"launch": "slurm"}},
         "trainer: no launch 'slurm'; there are: local, ray, sbatch"),
        ("verl", {"options": {"gpus": 0}}, "trainer: gpus: give a whole number above 0"),
        ("verl", {"options": {"launch_options": ["-x"]}},
         "trainer: launch_options: a job that is launched here takes none"),
        ("verl", {"parent": ""}, "parent: sft starts from a checkpoint: name one"),
        ("verl", {"reward": "x.py:f"}, "reward: sft takes none; leave it out"),
        ("nemo-rl", {"options": {"cwd": ""}},
         "trainer: cwd: name the folder of a checkout of NeMo RL's repository"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_anything_runs(
    framework: str, given: dict[str, Any], said: str, base: Path, tmp_path: Path
) -> None:
    made = stage(framework, "sft", base, tmp_path, **given)
    with pytest.raises(ConfigError) as caught:
        plugins.trainer("sft", framework).check(made)
    assert str(caught.value) == said
