"""The recipes are configurations: every name exists, and every framework knows every word."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from evalkit import Stage, plugins
from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.exams import formats
from evalkit.matrix import Matrix
from evalkit.types import REWARD_MODEL
from tests import framework_options, stand_in
from trainers import nemo_rl_job, openrlhf_job, verl_job
from trainers.rewards import graded
from trainers.rewards import load as reward_of

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "examples" / "recipes"
NAMES = sorted(path.name for path in RECIPES.glob("*.yaml") if path.name != "zero3.yaml")
JOBS = {"openrlhf": openrlhf_job, "verl": verl_job, "nemo-rl": nemo_rl_job}
PLACES = ("one-gpu", "node")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The recipes where the frameworks they name are stand-ins that declare the real options."""
    folder = tmp_path_factory.mktemp("recipes")
    shutil.copytree(RECIPES, folder, dirs_exist_ok=True)
    opt = folder / "opt"
    where = {"/opt/RL": stand_in.checkout(opt / "RL")}
    for name in ("openrlhf", "verl"):
        where[f"/opt/{name}/bin/python"] = stand_in.environment(opt / name, name)
    for name in NAMES:
        text = (folder / name).read_text()
        for there, here in where.items():
            text = text.replace(there, str(here))
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", str(ROOT))
        yield folder


@pytest.fixture(scope="module")
def matrices(place: Path) -> dict[str, Matrix]:
    return {name: resolve(load(place / name)) for name in NAMES}


def launched(matrices: dict[str, Matrix]) -> Iterator[Stage]:
    for matrix in matrices.values():
        yield from (stage for stage in matrix.stages if stage.trainer in JOBS)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_a_whole_configuration(name: str, matrices: dict[str, Matrix]) -> None:
    matrix = matrices[name]
    assert matrix.baseline == "base"
    assert len(matrix.stages) >= 2
    assert matrix.policy.margins
    assert {exam.label for exam in matrix.exams} >= {"gsm8k", "mmlu-pro"}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("trainer", ["trl", *JOBS])
def test_every_method_of_a_trainer_has_a_recipe_for_one_gpu_and_for_a_node(
    trainer: str, where: str, matrices: dict[str, Matrix]
) -> None:
    stages = matrices[f"{where}-{trainer}.yaml"].stages
    methods = {stage.method for stage in stages if stage.trainer == trainer}
    assert methods == set(plugins.find("trainers", trainer).methods)
    for stage in stages:
        assert stage.options.get("gpus", 1) == (8 if where == "node" and trainer != "trl" else 1)
        assert bool(stage.accelerate) == (where == "node" and trainer == "trl")


def test_evalkits_own_methods_have_a_recipe_for_one_gpu(matrices: dict[str, Matrix]) -> None:
    methods = {stage.method for stage in matrices["one-gpu-trl.yaml"].stages}
    assert methods >= set(plugins.find("trainers", "reference").methods)


def emitted(stage: Stage) -> tuple[str, set[str]]:
    """The file that a framework declares a command's options in, and the options."""
    job = JOBS[stage.trainer]
    words = job.command(stage, True)
    if job is openrlhf_job:
        own = words[words.index(next(w for w in words if w.startswith("openrlhf.cli"))) :]
        return f"{job.MODULES[stage.method]}.py", {w[2:] for w in own if w.startswith("--")}
    if job is verl_job:
        own = words[words.index(job.MODULES[stage.method]) + 1 :]
        return job.CONFIGS.get(stage.method, job.RL_CONFIG), {w.partition("=")[0] for w in own}
    assert job is nemo_rl_job
    own = words[words.index("--config") + 2 :]
    return job.EXAMPLES[stage.method][1], {
        *(word.partition("=")[0] for word in own),
        *(key for key in job.settings(stage) if not key.startswith("env.evalkit")),
    }


def test_every_command_is_one_that_its_framework_takes(matrices: dict[str, Matrix]) -> None:
    seen = 0
    for stage in launched(matrices):
        file, names = emitted(stage)
        known = set(framework_options.facts(stage.trainer)[file])
        assert names <= known, f"{stage.trainer} {stage.name}: {names - known}"
        assert {name.lstrip("+~") for name in stage.args} <= names, stage.name
        assert JOBS[stage.trainer].files(stage) or not stage.reward or _served(stage)
        seen += 1
    assert seen > 50


def _served(stage: Stage) -> bool:
    return stage.reward.startswith(REWARD_MODEL)


def test_answers_at_a_time_are_whole_groups_and_updates_whole_rollouts(
    matrices: dict[str, Matrix],
) -> None:
    for stage in launched(matrices):
        args = stage.args
        if "rollout.batch_size" in args:
            answers = args["rollout.batch_size"] * args["rollout.n_samples_per_prompt"]
            assert answers % args["train.batch_size"] == 0, stage.name
            assert args["train.batch_size"] % stage.options["gpus"] == 0
        if "actor_rollout_ref.actor.ppo_mini_batch_size" in args:
            mini = args["actor_rollout_ref.actor.ppo_mini_batch_size"]
            assert args["data.train_batch_size"] % mini == 0, stage.name
        for head in ("grpo", "ppo"):
            if f"{head}.num_prompts_per_step" in args:
                answers = args[f"{head}.num_prompts_per_step"]
                answers *= args[f"{head}.num_generations_per_prompt"]
                assert answers % args["policy.train_global_batch_size"] == 0, stage.name


@pytest.mark.parametrize("name", NAMES)
def test_the_command_in_a_recipe_names_it_and_a_stage_of_it(
    name: str, matrices: dict[str, Matrix]
) -> None:
    head = (RECIPES / name).read_text().partition("baseline:")[0]
    found = re.findall(r"^#   (evalkit (?:train|run-matrix|plan) .*)$", head, re.M)
    assert found
    for command in found:
        _, verb, path, *rest = shlex.split(command)
        assert path == f"examples/recipes/{name}"
        if verb == "train":
            stages = [word for word in rest[: rest.index("--results")]]
            assert stages
            assert set(stages) <= {stage.name for stage in matrices[name].stages}


def test_the_page_has_every_stage_of_every_method(matrices: dict[str, Matrix]) -> None:
    columns = ("one-gpu-trl", "node-trl", "node-openrlhf", "node-verl", "node-nemo-rl")
    page = (ROOT / "docs" / "methods.md").read_text()
    rows = re.findall(r"^\| `([\w+-]+)` \|((?:[^|\n]*\|){5})$", page, re.M)
    told = {
        (column, method): re.findall(r"`([^`]+)`", cell)
        for method, cells in rows
        for column, cell in zip(columns, cells.split("|"), strict=False)
    }
    there: dict[tuple[str, str], list[str]] = {}
    for column in columns:
        for stage in matrices[f"{column}.yaml"].stages:
            there.setdefault((column, stage.method), []).append(stage.name)
    assert {key: names for key, names in told.items() if names} == there


def test_the_commands_on_the_page_name_recipes_and_stages(matrices: dict[str, Matrix]) -> None:
    page = (ROOT / "docs" / "methods.md").read_text()
    found = re.findall(r"^evalkit train examples/recipes/(\S+) (\S+) ", page, re.M)
    assert len(found) == 2
    for name, stage in found:
        assert stage in {each.name for each in matrices[name].stages}


def test_every_row_is_used_and_is_of_the_form_that_its_file_shows(
    matrices: dict[str, Matrix],
) -> None:
    used = {Path(source).name for m in matrices.values() for s in m.stages for source in s.data}
    assert used == {path.name for path in (RECIPES / "rows").iterdir()}
    for path in (RECIPES / "rows").iterdir():
        assert len(list(formats.read(path))) >= 2


@pytest.mark.parametrize(
    ("answer", "value"),
    [("So it is 42.", 1.0), ("7 × 6 = 42", 1.0), ("42 boxes of 6", 0.0), ("none", 0.0),
     ("1,042", 0.0), ("the end: 42.0", 1.0), ("", 0.0)],
)  # fmt: skip
def test_the_reward_is_of_the_last_number(answer: str, value: float) -> None:
    reward = reward_of(f"{RECIPES / 'rewards.py'}:exact")
    assert graded(reward, "exact", "q", answer, {"answer": "42"}) == value


def test_the_recipe_that_compares_has_each_way_without_training() -> None:
    found = yaml.safe_load((RECIPES / "which-method.yaml").read_text())["checkpoints"]
    ways = [("system_prompt" in each, "retrieval" in each) for each in found]
    assert sorted(ways) == [(False, False), (False, True), (True, False), (True, True)]
    assert len({each["model"] for each in found}) == 1
