"""Run in a process of its own: a few steps of every method, and what TRL made of the data."""

from __future__ import annotations

import json
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from evalkit import Stage, plugins
from trainers._arguments import lora_names, names
from trainers._methods import METHODS
from trainers.trl_inprocess import rows_of, trainer_of

CPU = {
    "use_cpu": True,
    "max_steps": 2,
    "logging_steps": 1,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-3,
}
REWARD = """
def varied(prompt, completion, row):
    return float(sum(map(ord, completion)) % 7)
"""
TEXTS = "".join(json.dumps({"text": f"one {word} and two {word}"}) + "\n" for word in "abcdefgh")
TALK = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "good day"},
    {"role": "user", "content": "how are you"},
    {"role": "assistant", "content": "well"},
]
MIX = {"task:mini-arithmetic": 2.0, "task:mini-instruct": 1.0, "task:mini-chat": 1.0}
SUMS = {"task:mini-arithmetic": 1.0}
ROLLOUT = {**CPU, "num_generations": 2, "max_completion_length": 4}
EACH = {**CPU, "save_strategy": "steps", "save_steps": 1}
LORA = {"r": 2, "target_modules": "all-linear"}
STAGES: tuple[dict[str, Any], ...] = (
    {"name": "base", "method": "pretrain", "data": MIX, "args": {"steps": 3, "batch_size": 8}},
    {"name": "again", "method": "pretrain", "data": MIX, "args": {"steps": 3, "batch_size": 8}},
    {"name": "cpt", "method": "cpt", "parent": "base", "data": {"texts.jsonl": 1.0}, "args": CPU},
    {"name": "sft", "method": "sft", "parent": "base", "data": MIX, "args": EACH},
    {"name": "twin", "method": "sft", "parent": "base", "data": MIX, "args": CPU},
    {"name": "lora", "method": "sft", "parent": "base", "data": MIX, "args": EACH, "lora": LORA},
    {"name": "dpo", "method": "dpo", "parent": "sft", "data": MIX, "args": CPU},
    {"name": "kto", "method": "kto", "parent": "sft", "data": MIX, "args": CPU},
    {"name": "rm", "method": "reward", "parent": "sft", "data": MIX, "args": CPU, "lora": LORA},
    {"name": "grpo", "method": "grpo", "parent": "dpo", "data": SUMS, "args": ROLLOUT},
    {"name": "rloo", "method": "rloo", "parent": "dpo", "data": SUMS, "args": ROLLOUT},
)
REWARDS = {"grpo": "reward.py:varied", "rloo": "model:rm/final"}


def stage(root: Path, spec: dict[str, Any]) -> Stage:
    parent = str(root / spec["parent"] / "final") if "parent" in spec else ""
    reward = REWARDS.get(spec["name"], "")
    return Stage(
        **{**spec, "out": str(root / spec["name"]), "parent": parent, "seed": 7, "reward": reward}
    )


def learned(of: Stage) -> list[tuple[str, str]]:
    """Of a few rows: all that the model reads, and what of it counts in the loss."""
    trainer = trainer_of(of, rows_of(of))
    tokenizer = trainer.processing_class
    batch = next(iter(trainer.get_train_dataloader()))
    return [
        (tokenizer.decode(ids), tokenizer.decode(label[label != -100]))
        for ids, label in zip(batch["input_ids"], batch["labels"], strict=True)
    ]


def main(root: Path) -> None:
    # In the working folder, which is the test's own.
    Path("reward.py").write_text(REWARD)
    Path("texts.jsonl").write_text(TEXTS)
    Path("talks.jsonl").write_text(json.dumps({"messages": TALK}) + "\n")
    for spec in STAGES:
        made = stage(root, spec)
        Path(made.out).mkdir()
        plugins.trainer(made.method).run(made)
    import peft
    import trl

    classes = {method.config: getattr(trl, method.config) for method in METHODS.values()}
    read = {name: names(name) for name in classes} | {"LoraConfig": lora_names()}
    classes["LoraConfig"] = peft.LoraConfig
    unlike = [
        name
        for name, found in read.items()
        if set(found) != {field.name for field in fields(classes[name]) if field.init}
    ]
    sft = stage(root, next(spec for spec in STAGES if spec["name"] == "sft"))
    talks = replace(sft, data={"talks.jsonl": 1.0})
    texts = replace(stage(root, STAGES[2]), data={"texts.jsonl": 1.0})
    seen = {
        "sft": learned(sft),
        "talks": learned(talks),
        "cpt": learned(texts),
        "unlike": unlike,
    }
    (root / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
