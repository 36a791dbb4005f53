"""Every training method for a few steps, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit import Stage
from evalkit.errors import ConfigError, TrainingError
from trainers.manifest import read
from trainers.trl_inprocess import check, run

ROOT = Path(__file__).parent.parent
SFT: dict[str, Any] = {
    "name": "sft",
    "method": "sft",
    "out": "out",
    "parent": "base",
    "data": {"task:mini-instruct": 1.0},
}
GRPO = {
    **SFT,
    "method": "grpo",
    "reward": "task:mini-arithmetic",
    "data": {"task:mini-arithmetic": 1.0},
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests" / "tiny_pipeline.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == ""
    return folder


def seen(pipeline: Path) -> dict[str, Any]:
    return dict(json.loads((pipeline / "seen.json").read_text()))


@pytest.mark.parametrize("name", ["base", "sft", "dpo", "grpo"])
def test_a_stage_leaves_a_whole_checkpoint_and_says_so_last(pipeline: Path, name: str) -> None:
    files = {path.name for path in (pipeline / name / "final").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= files
    last = read(pipeline / name)[-1]
    assert (last["path"], last["run"], last["event"]) == ("final", name, "checkpoint")
    assert last["train"]


def test_checkpoints_on_the_way_are_registered_in_order(pipeline: Path) -> None:
    entries = read(pipeline / "sft")
    assert [(entry["path"], entry["step"]) for entry in entries] == [
        ("checkpoint-1", 1),
        ("checkpoint-2", 2),
        ("final", 2),
    ]
    assert all((pipeline / "sft" / entry["path"] / "config.json").exists() for entry in entries)
    assert not any("runtime" in name for entry in entries for name in entry["train"])


@pytest.mark.parametrize(("one", "other"), [("base", "again"), ("sft", "twin")])
def test_the_same_stage_gives_the_same_weights(pipeline: Path, one: str, other: str) -> None:
    first, second = (
        (pipeline / name / "final" / "model.safetensors").read_bytes() for name in (one, other)
    )
    assert first == second


def test_every_method_changes_the_weights(pipeline: Path) -> None:
    weights = {
        name: (pipeline / name / "final" / "model.safetensors").read_bytes()
        for name in ("base", "sft", "dpo", "grpo")
    }
    assert len(set(weights.values())) == len(weights)


def test_only_the_answer_is_learned(pipeline: Path) -> None:
    for text, counted in seen(pipeline)["learned"]:
        question, answer = text.split("<assistant>")
        assert counted.split() == answer.removesuffix("<pad>").replace("<pad>", "").split()
        assert counted.split()[-1] == "<end>"
        assert question.startswith("<user>")


def test_the_names_read_from_the_source_are_those_of_the_class(pipeline: Path) -> None:
    assert seen(pipeline)["unlike"] == []


def test_a_good_stage_passes() -> None:
    check(Stage(**SFT, args={"learning_rate": 1e-3, "use_cpu": True}))
    check(Stage(**GRPO))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({**SFT, "args": {"lerning_rate": 1}}, "'lerning_rate'; did you mean 'learning_rate'"),
        ({**SFT, "args": {"output_dir": "x"}}, "leave out 'output_dir'"),
        ({**SFT, "parent": ""}, "parent: sft starts from a checkpoint"),
        ({**SFT, "data": {}}, "data: give a JSONL file"),
        ({**SFT, "data": {"nowhere.jsonl": 1.0}}, "there is no file nowhere.jsonl"),
        ({**SFT, "reward": "task:mini-instruct"}, "reward: sft takes none"),
        ({**GRPO, "reward": ""}, "reward: give task:<name>"),
        ({**GRPO, "reward": "task:mini-chat"}, "graded by a judge"),
        ({**GRPO, "reward": "task:mini-tools"}, "grades its own questions only"),
        ({**GRPO, "reward": "nowhere.py:f"}, "there is no file nowhere.py"),
    ],
)
def test_a_stage_that_cannot_run_is_refused_at_once(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        check(Stage(**spec))


def test_a_parent_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no checkpoint in base"):
        run(Stage(**SFT))
