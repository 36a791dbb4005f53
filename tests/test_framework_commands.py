"""What each framework is told for each method, word for word, and that it knows every word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit import Stage, plugins
from evalkit.errors import ConfigError, EvalkitError
from tests import framework_options
from trainers import _options, nemo_rl_job, openrlhf_job, verl_job

GOLDEN = Path(__file__).parent / "golden" / "frameworks"
OPTIONS = {"gpus": 8, "launch": "local", "launch_options": []}
PLACES: dict[str, dict[str, Any]] = {
    "openrlhf": {"python": "/opt/openrlhf/bin/python"},
    "verl": {"python": "/opt/verl/bin/python"},
    "nemo-rl": {"python": "", "cwd": "/opt/RL"},
}
JOBS: dict[str, Any] = {"openrlhf": openrlhf_job, "verl": verl_job, "nemo-rl": nemo_rl_job}
EVERY = [(name, method) for name in JOBS for method in plugins.find("trainers", name).methods]


def stage(framework: str, method: str, **given: Any) -> Stage:
    rewarded = method not in ("cpt", "sft", "dpo", "reward")
    return Stage(
        **{
            "name": method,
            "method": method,
            "out": f"/runs/{method}",
            "parent": "/models/base",
            "data": {"/data/rows.jsonl": 1.0},
            "reward": "/work/rewards.py:exact" if rewarded else "",
            "seed": 7,
            "trainer": framework,
            "options": {**OPTIONS, **PLACES[framework]},
            **given,
        }
    )


def shown(framework: str, method: str) -> str:
    """A command, an option a line, and the settings that it reads."""
    job, made = JOBS[framework], stage(framework, method)
    words = job.command(made, True)
    lines = [f"{word} \\" for word in words]
    settings = job.files(made).get("nemo.yaml", "") if framework == "nemo-rl" else ""
    return "\n".join([f"# {framework} {method}", *lines, settings])


@pytest.mark.parametrize("framework", JOBS)
def test_the_commands_are_those_that_were_looked_at(framework: str) -> None:
    found = "\n".join(shown(framework, method) for name, method in EVERY if name == framework)
    path = GOLDEN / f"{framework}.txt"
    if os.environ.get("EVALKIT_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()


def emitted(framework: str, method: str) -> tuple[str, set[str]]:
    """The file that a command's options are declared in, and the options."""
    job, made = JOBS[framework], stage(framework, method)
    words = job.command(made, True)
    if framework == "openrlhf":
        parser = f"{job.MODULES[method]}.py"
        own = words[words.index(next(w for w in words if w.startswith("openrlhf.cli"))) :]
        return parser, {word[2:] for word in own if word.startswith("--")}
    if framework == "verl":
        start = words.index(job.MODULES[method]) + 1
        return job.CONFIGS.get(method, job.RL_CONFIG), {w.partition("=")[0] for w in words[start:]}
    return job.EXAMPLES[method][1], set(job.settings(made))


@pytest.mark.parametrize(("framework", "method"), EVERY)
def test_the_framework_knows_every_option_that_is_emitted(framework: str, method: str) -> None:
    file, names = emitted(framework, method)
    known = set(framework_options.facts(framework)[file])
    assert len(names) > 5
    assert {name for name in names if not name.startswith("env.evalkit")} <= known


@pytest.mark.integration
@pytest.mark.parametrize("framework", ["openrlhf", "verl"])
def test_the_facts_are_those_of_the_pinned_release(framework: str, tmp_path: Path) -> None:
    package = {"openrlhf": framework_options.OPENRLHF, "verl": framework_options.VERL}[framework]
    read = {"openrlhf": framework_options.openrlhf, "verl": framework_options.verl}[framework]
    assert read(framework_options.fetched(package, tmp_path)) == framework_options.facts(framework)


def test_the_facts_of_nemo_rl_are_those_of_the_pinned_commit() -> None:
    checkout = os.environ.get("NEMO_RL_CHECKOUT")
    if not checkout:
        pytest.skip(f"NEMO_RL_CHECKOUT names no checkout of {framework_options.NEMO_RL}")
    assert framework_options.nemo_rl(Path(checkout)) == framework_options.facts("nemo-rl")


def test_the_users_arguments_come_before_ours_and_switch_ours_off() -> None:
    args = {"train.seed": 3, "ckpt.disable_ds": False, "adam.betas": [0.9, 0.95], "x": None}
    words = openrlhf_job.command(stage("openrlhf", "sft", args=args), True)
    assert words.count("--train.seed") == 1
    assert words[words.index("--train.seed") + 1] == "3"
    assert "--ckpt.disable_ds" not in words
    assert words[words.index("--adam.betas") :][:3] == ["--adam.betas", "0.9", "0.95"]
    assert "--x" not in words
    given = {"trainer.logger": ["console", "wandb"], "+x.y": None, "trainer.total_epochs": 2}
    words = verl_job.command(stage("verl", "grpo", args=given))
    assert words[-2:] == ["+x.y=null", "trainer.total_epochs=2"]
    assert [word for word in words if word.startswith("trainer.logger")] == [
        "trainer.logger=[console,wandb]"
    ]
    words = nemo_rl_job.command(stage("nemo-rl", "sft", args={"policy.precision": "float32"}))
    assert words[-1] == "policy.precision=float32"


def test_rows_that_are_plain_texts_get_no_template_of_openrlhfs() -> None:
    words = openrlhf_job.command(stage("openrlhf", "sft"), False)
    assert "--data.apply_chat_template" not in words
    assert words[words.index("--data.input_template") + 1] == ""
    assert "--data.input_template" not in openrlhf_job.command(stage("openrlhf", "dpo"), False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5e-06, "5e-06"),
        (["a", "b c"], "[a,'b c']"),
        ({"a": 1}, "{a:1}"),
        ("/runs/x-1", "/runs/x-1"),
        ("1e3", "'1e3'"),
        ("true", "'true'"),
        ("", "''"),
        ("it's", r"'it\'s'"),
        ("C:\\x", r"'C:\x'"),
        ("end\\", r"'end\\'"),
        ("ü", "'ü'"),
        ("${oc.env:HOME}", "'${oc.env:HOME}'"),
    ],
)
def test_values_are_written_so_that_hydra_reads_them_back(value: Any, text: str) -> None:
    assert _options.hydra("k", value) == f"k={text}"


@pytest.mark.parametrize(
    ("framework", "method", "those"),
    [
        ("verl", "dpo", "nemo-rl, openrlhf, trl"),
        ("verl", "kto", "trl"),
        ("nemo-rl", "cpt", "openrlhf, trl"),
        ("openrlhf", "kto", "trl"),
    ],
)
def test_a_method_that_a_framework_lacks_names_those_that_have_it(
    framework: str, method: str, those: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        plugins.trainer(method, framework)
    assert str(caught.value) == f"{framework} has no method {method!r}; those that have: {those}"


def test_a_method_of_launched_frameworks_alone_asks_for_one() -> None:
    with pytest.raises(ConfigError, match=r"reinforce\+\+ is trained by nemo-rl, openrlhf, verl"):
        plugins.trainer("reinforce++")
    with pytest.raises(EvalkitError, match=r"unknown method of verl 'x'"):
        plugins.trainer("x", "verl")


def test_nemo_rls_file_builds_on_the_example_and_holds_what_is_set(tmp_path: Path) -> None:
    text = nemo_rl_job.files(stage("nemo-rl", "dpo"))["nemo.yaml"]
    found = yaml.safe_load(text)
    assert found["defaults"] == "/opt/RL/examples/configs/dpo.yaml"
    assert found["checkpointing"]["save_consolidated"] is True
    assert found["checkpointing"]["keep_top_k"] is None
    assert found["data"]["validation"] is None
