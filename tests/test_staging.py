"""A config's stages: what is wrong is told with its line before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.errors import ConfigError
from evalkit.matrix import Matrix

CONFIG = """\
baseline: base
checkpoints:
  - {name: base, model: ./base}
  - {name: echo, backend: echo}
pipeline:
  - {name: sft, method: sft, parent: base, data: rows.jsonl, args: {max_steps: 5}}
  - {name: rm, method: reward, parent: sft, data: pairs.jsonl}
  - {name: rl, method: rloo, parent: sft, data: rows.jsonl, reward: rm}
tasks: [mini-arithmetic]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with data, a model and a reward model."""
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}')
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}')
    (tmp_path / "two.yaml").write_text("num_processes: 2")
    (tmp_path / "sharded.yaml").write_text(
        "num_processes: 2\nfsdp_config: {fsdp_state_dict_type: SHARDED_STATE_DICT}"
    )
    for name in ("base", "scorer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({}))
    return tmp_path


def resolved(home: Path, old: str = "", new: str = "") -> Matrix:
    assert old in CONFIG
    (home / "c.yaml").write_text(CONFIG.replace(old, new) if old else CONFIG)
    return resolve(load(home / "c.yaml"))


def test_a_reward_model_is_a_stage_and_no_row(home: Path) -> None:
    whole = resolved(home)
    assert [row.checkpoint.name for row in whole.rows] == ["base", "echo", "sft", "rl"]
    assert [stage.reward for stage in whole.stages] == ["", "", "model:rm"]


def test_a_folder_may_be_the_reward(home: Path) -> None:
    whole = resolved(home, "reward: rm", "reward: ./scorer")
    assert whole.stages[-1].reward == f"model:{home / 'scorer'}"


def test_keys_of_a_stage_reach_its_trainer(home: Path) -> None:
    more = "args: {max_steps: 5}, lora: {r: 8}, accelerate: two.yaml, evaluate: [2, 4]"
    stage = resolved(home, "args: {max_steps: 5}", more).stages[0]
    assert stage.lora == {"r": 8}
    assert stage.accelerate == str(home / "two.yaml")
    assert stage.evaluate == [2, 4]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("args: {max_steps: 5}", "evaluate: often", "6: pipeline[0].evaluate: give final, every_"),
        ("args: {max_steps: 5}", "evaluate: [0]", "6: pipeline[0].evaluate: give final, every_"),
        ("args: {max_steps: 5}", "evaluate: []", "6: pipeline[0].evaluate: give final, every_"),
        ("args: {max_steps: 5}", "evaluate: every_save", "6: pipeline[0].evaluate: nothing is sav"),
        ("args: {max_steps: 5}", "lora: {rank: 2}", "6: pipeline[0].lora: LoraConfig has no 'rank"),
        ("args: {max_steps: 5}", "accelerate: no.yaml", "6: pipeline[0].accelerate: cannot read"),
        ("args: {max_steps: 5}", "lr: 1.0", "6: pipeline[0].lr: unknown key"),
        ("args: {max_steps: 5}", "args: {max_step: 5}", "6: pipeline[0].args: SFTConfig has no"),
        ("method: sft", "method: sfd", "6: pipeline[0].method: unknown training method 'sfd'"),
        ("parent: base, data", "parent: bass, data", "6: pipeline[0].parent: no earlier checkp"),
        ("parent: base, data", "parent: echo, data", "6: pipeline[0].parent: echo has no `model`"),
        ("data: rows.jsonl, args", "data: no.jsonl, args", "6: pipeline[0].data: no data file at"),
        ("data: pairs.jsonl", "data: rows.jsonl", "7: pipeline[1].data: "),
        ("parent: sft, data: rows", "parent: rm, data: rows", "8: pipeline[2].parent: rm is a rew"),
        ("reward: rm", "reward: sft", "8: pipeline[2].reward: sft is no reward model"),
        (
            "reward: rm",
            "reward: rn",
            "8: pipeline[2].reward: 'rn' is not a reward ... ; there are: rm",
        ),
        ("reward: rm", "reward: no.py:f", "8: pipeline[2].reward: no file at"),
        ("baseline: base", "baseline: rm", "1: baseline: no checkpoint goes by 'rm'"),
        (
            "args: {max_steps: 5}",
            "accelerate: sharded.yaml, evaluate: [2]",
            "6: pipeline[0].evaluate ... saved in shards, which are no models",
        ),
    ],
)
def test_what_is_wrong_with_a_stage_is_told_with_its_line(
    home: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        resolved(home, old, new)
    start, _, end = said.partition(" ... ")
    assert f"c.yaml:{start}" in str(error.value)
    assert end in str(error.value)


def test_what_a_trainer_does_not_take_is_refused(home: Path) -> None:
    old = "name: sft, method: sft, parent: base, data: rows.jsonl, args: {max_steps: 5}"
    new = "name: sft, method: pretrain, data: rows.jsonl, lora: {r: 2}"
    with pytest.raises(ConfigError, match=r"pipeline\[0\]\.lora: pretrain takes none"):
        resolved(home, old, new)
