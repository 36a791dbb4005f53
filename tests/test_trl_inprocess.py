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
from evalkit.training import curves
from trainers._methods import METHODS
from trainers._stage_checks import check
from trainers.manifest import read
from trainers.trl_inprocess import run

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
    environment |= {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(ROOT / "tests" / "tiny_pipeline.py"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == ""
    return folder


MADE = ["base", "cpt", "sft", "lora", "dpo", "kto", "rm", "grpo", "rloo"]


def seen(pipeline: Path) -> dict[str, Any]:
    return dict(json.loads((pipeline / "seen.json").read_text()))


def weights(pipeline: Path, name: str) -> bytes:
    return (pipeline / name / "final" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", MADE)
def test_a_stage_leaves_a_whole_checkpoint_and_says_so_last(pipeline: Path, name: str) -> None:
    files = {path.name for path in (pipeline / name / "final").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= files
    last = read(pipeline / name)[-1]
    assert (last["path"], last["run"], last["event"]) == ("final", name, "checkpoint")
    assert last["train"]


def test_every_method_of_the_table_was_trained(pipeline: Path) -> None:
    methods = {read(pipeline / name)[-1]["method"] for name in MADE}
    assert methods >= set(METHODS)


def test_checkpoints_on_the_way_are_registered_in_order(pipeline: Path) -> None:
    entries = read(pipeline / "sft")
    assert [(entry["path"], entry["step"]) for entry in entries] == [
        ("checkpoint-1", 1),
        ("checkpoint-2", 2),
        ("final", 2),
    ]
    assert all((pipeline / "sft" / entry["path"] / "config.json").exists() for entry in entries)
    assert not any("runtime" in name for entry in entries for name in entry["train"])


@pytest.mark.parametrize(("one", "other"), [("base", "again"), ("sft", "twin"), ("twin", "hub")])
def test_the_same_stage_gives_the_same_weights(pipeline: Path, one: str, other: str) -> None:
    assert weights(pipeline, one) == weights(pipeline, other)


@pytest.mark.parametrize("method", ["sft", "grpo"])
def test_a_training_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    pipeline: Path, method: str
) -> None:
    killed = pipeline / f"{method}-killed"
    assert weights(pipeline, f"{method}-whole") == weights(pipeline, f"{method}-killed")
    paths = [entry["path"] for entry in read(killed)]
    assert paths == [*(f"checkpoint-{step}" for step in range(1, 7)), "final"]
    assert not (killed / "checkpoint-99").exists()  # the half of one counts for nothing
    whole = curves.read(pipeline / f"{method}-whole")
    assert curves.read(killed)["loss"] == whole["loss"]  # steps that were repeated count once


def test_a_training_that_had_ended_takes_no_further_step(pipeline: Path) -> None:
    paths = [entry["path"] for entry in read(pipeline / "sft-whole")]
    assert paths == [*(f"checkpoint-{step}" for step in range(1, 7)), "final", "final"]
    last = pipeline / "sft-whole" / "checkpoint-6" / "model.safetensors"
    assert weights(pipeline, "sft-whole") == last.read_bytes()


def test_every_method_changes_the_weights(pipeline: Path) -> None:
    assert len({weights(pipeline, name) for name in MADE}) == len(MADE)


def test_an_adapter_is_merged_and_stays_beside(pipeline: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    ids = torch.arange(10)[None] + 5
    with torch.no_grad():
        found = [
            AutoModelForCausalLM.from_pretrained(pipeline / "lora" / folder)(ids).logits
            for folder in ("final", "adapter", "checkpoint-2", "checkpoint-1")
        ]
    assert torch.allclose(found[0], found[1], atol=1e-5)
    assert torch.allclose(found[0], found[2], atol=1e-5)
    assert not torch.allclose(found[0], found[3], atol=1e-5)


def test_a_reward_model_scores_and_its_scores_were_learned_from(pipeline: Path) -> None:
    from trainers.rewards import load

    reward = load(f"model:{pipeline}/rm/final")
    prompt = [{"role": "user", "content": "Compute 5 + 1."}]
    assert reward(prompt, "6", {}) == reward(prompt, "6", {}) != reward(prompt, "5 6", {})  # type: ignore[arg-type]
    logged = curves.read(pipeline / "rloo")
    assert [step for step, _ in logged["reward"]] == [1, 2]
    assert any(value for _, value in logged["reward_std"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sft", {"loss", "entropy", "mean_token_accuracy", "grad_norm", "learning_rate"}),
        ("dpo", {"loss", "rewards/chosen", "rewards/rejected", "rewards/margins"}),
        ("kto", {"loss", "kl", "rewards/chosen", "logps/rejected"}),
        ("rm", {"loss", "accuracy", "margin", "mean_reward"}),
        ("grpo", {"reward", "reward_std", "frac_reward_zero_std", "completions/clipped_ratio"}),
    ],
)
def test_what_a_training_logs_is_kept_step_by_step(
    pipeline: Path, name: str, expected: set[str]
) -> None:
    found = curves.read(pipeline / name)
    assert expected <= set(found)
    assert [step for step, _ in found["loss"]] == [1, 2]
    assert not any("runtime" in each or each in ("epoch", "num_tokens") for each in found)


def test_when_a_reward_fails_what_was_learned_until_then_is_kept(pipeline: Path) -> None:
    said = seen(pipeline)["stopped"]
    assert "late on the row of task:mini-arithmetic '" in said
    assert "ZeroDivisionError: division by zero; what was learned until then is kept in" in said
    (kept,) = read(pipeline / "stopped")
    assert kept["step"] == 5
    folder = pipeline / "stopped" / kept["path"]
    assert str(folder) in said
    assert (folder / "model.safetensors").read_bytes() != weights(pipeline, "base")


@pytest.mark.parametrize("rows", ["sft", "talks"])
def test_only_the_last_answer_is_learned(pipeline: Path, rows: str) -> None:
    for text, counted in seen(pipeline)[rows]:
        question, _, answer = text.rpartition("<assistant>")
        assert counted.split() == answer.replace("<pad>", "").split()
        assert counted.split()[-1] == "<end>"
        assert question.startswith("<user>")


def test_every_answer_of_a_conversation_is_learned_where_that_is_asked_for(pipeline: Path) -> None:
    for text, counted in seen(pipeline)["every answer"]:
        answers = [turn.partition("<user>")[0] for turn in text.split("<assistant>")[1:]]
        assert len(answers) == 2
        assert counted.split() == " ".join(answers).split()


def test_columns_that_only_some_rows_have_reach_trl(pipeline: Path) -> None:
    expected = ["chosen", "margin", "prompt", "rejected", "tools"]
    assert seen(pipeline)["columns"] == {"dpo": expected, "reward": expected}


def test_of_running_text_every_word_is_learned(pipeline: Path) -> None:
    for text, counted in seen(pipeline)["cpt"]:
        assert counted.split() == text.replace("<pad>", "").split()
        assert counted.split()[-1] == "<end>"


def test_the_names_read_from_the_source_are_those_of_the_class(pipeline: Path) -> None:
    assert seen(pipeline)["unlike"] == []


def test_trls_own_losses_are_those_of_the_formulas(pipeline: Path) -> None:
    numbers = seen(pipeline)["numbers"]
    assert len(numbers) > 20
    for name, said, ours in numbers:
        assert said == pytest.approx(ours, abs=2e-6), name
        assert abs(said) > 1e-3, name  # nothing is shown by a 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sft", "long.jsonl: line 9 has 100 tokens before an answer could begin, max_length is 20"),
        ("dpo", "long.jsonl: line 9 has 100 tokens before an answer could begin, max_length is 20"),
        ("kto", "long.jsonl: line 9 has 100 tokens before an answer could begin, max_length is 20"),
        ("reward", "long.jsonl: line 9 has 101 tokens, max_length is 20"),
        ("grpo", "the prompt of long.jsonl: line 9 has 100 tokens; the model reads 512 and max_"),
    ],
)
def test_a_row_too_long_to_learn_from_is_named(pipeline: Path, name: str, said: str) -> None:
    assert said in seen(pipeline)["long"][name]


def test_a_good_stage_passes(tmp_path: Path) -> None:
    check(Stage(**SFT, args={"learning_rate": 1e-3, "use_cpu": True}))
    check(Stage(**GRPO))
    config = tmp_path / "two.yaml"
    config.write_text("num_processes: 2\n")
    check(Stage(**SFT, lora={"r": 4}, accelerate=str(config), evaluate=[5, 10]))


EVERY = {**SFT, "evaluate": "every_save"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({**SFT, "args": {"lerning_rate": 1}}, "no 'lerning_rate'; did you mean 'learning_rate'"),
        ({**SFT, "args": {"use_vllm": True}}, "no 'use_vllm'; the nearest is 'use_"),
        ({**SFT, "args": {"learning_rate": "2e-5"}}, "not '2e-5'; write 2.0e-05"),
        ({**SFT, "args": {"max_steps": 1.5}}, "max_steps has to be int"),
        ({**SFT, "args": {"output_dir": "x"}}, "leave out 'output_dir'"),
        ({**SFT, "args": {"resume_from_checkpoint": "x"}}, "goes on by itself"),
        ({**SFT, "lora": {"rank": 4}}, "lora: LoraConfig has no 'rank'; the nearest is 'rank_pat"),
        ({**SFT, "accelerate": "none.yaml"}, "accelerate: cannot read none.yaml"),
        ({**SFT, "accelerate": __file__}, "accelerate: .* is not YAML|has no num_processes"),
        ({**SFT, "parent": ""}, "parent: sft starts from a checkpoint"),
        ({**SFT, "data": {}}, "data: give a JSONL file"),
        ({**SFT, "data": {"nowhere.jsonl": 1.0}}, "there is no file nowhere.jsonl"),
        ({**SFT, "reward": "task:mini-instruct"}, "reward: sft takes none"),
        ({**SFT, "method": "cpt"}, "questions are no running text"),
        ({**SFT, "method": "kto", "args": {"per_device_train_batch_size": 1}}, "of 2 or more"),
        (EVERY, "evaluate: nothing is saved on the way"),
        ({**EVERY, "args": {"save_strategy": "epoch", "save_total_limit": 1}}, "save_total_limit"),
        ({**SFT, "evaluate": [9], "args": {"max_steps": 5}}, "there is no step 9: max_steps is 5"),
        ({**SFT, "method": "reward", "evaluate": [9]}, "gives no answers"),
        ({**GRPO, "reward": ""}, "reward: give task:<name>"),
        ({**GRPO, "reward": "task:mini-chat"}, "graded by a judge"),
        ({**GRPO, "reward": "task:mini-tools"}, "grades its own training questions"),
        ({**GRPO, "reward": "nowhere.py:f"}, "there is no file nowhere.py"),
        ({**GRPO, "args": {"num_generations": 3}}, "8 answers at a time are no whole groups"),
    ],
)
def test_a_stage_that_cannot_run_is_refused_at_once(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        check(Stage(**spec))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "there is no checkpoint in "),
        (["adapter_config.json"], "is an adapter: merge it with its base first"),
    ],
)
def test_a_parent_that_cannot_be_trained_on_is_told(
    tmp_path: Path, files: list[str], message: str
) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(TrainingError, match=message):
        run(Stage(**{**SFT, "parent": str(tmp_path)}))
