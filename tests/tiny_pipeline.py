"""Run in a process of its own: a few steps of every method, and what TRL made of the data."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from evalkit import Stage, plugins
from trainers._arguments import names
from trainers.data import mixed
from trainers.trl_inprocess import METHODS, _trainer

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
MIX = {"task:mini-arithmetic": 2.0, "task:mini-instruct": 1.0, "task:mini-chat": 1.0}
STAGES: tuple[dict[str, Any], ...] = (
    {"name": "base", "method": "pretrain", "data": MIX, "args": {"steps": 3, "batch_size": 8}},
    {"name": "again", "method": "pretrain", "data": MIX, "args": {"steps": 3, "batch_size": 8}},
    {
        "name": "sft",
        "method": "sft",
        "parent": "base",
        "data": MIX,
        "args": {**CPU, "save_strategy": "steps", "save_steps": 1},
    },
    {"name": "twin", "method": "sft", "parent": "base", "data": MIX, "args": CPU},
    {"name": "dpo", "method": "dpo", "parent": "sft", "data": MIX, "args": CPU},
    {
        "name": "grpo",
        "method": "grpo",
        "parent": "dpo",
        "data": {"task:mini-arithmetic": 1.0},
        "reward": "reward.py:varied",
        "args": {**CPU, "num_generations": 2, "max_completion_length": 4},
    },
)


def stage(root: Path, spec: dict[str, Any]) -> Stage:
    parent = str(root / spec["parent"] / "final") if "parent" in spec else ""
    return Stage(**{**spec, "out": str(root / spec["name"]), "parent": parent, "seed": 7})


def learned(sft: Stage) -> list[tuple[str, str]]:
    """Of a few rows: all that the model reads, and what of it counts in the loss."""
    trainer = _trainer(sft, METHODS["sft"], METHODS["sft"].rows(sft, mixed(sft.data, 7)))
    tokenizer = trainer.processing_class
    batch = next(iter(trainer.get_train_dataloader()))
    return [
        (tokenizer.decode(ids), tokenizer.decode(label[label != -100]))
        for ids, label in zip(batch["input_ids"], batch["labels"], strict=True)
    ]


def main(root: Path) -> None:
    Path("reward.py").write_text(REWARD)  # in the working folder, which is the test's own
    for spec in STAGES:
        made = stage(root, spec)
        Path(made.out).mkdir()
        plugins.trainer(made.method).run(made)
    import trl

    unlike = [
        method.config
        for method in METHODS.values()
        if names(method.config, method.file)
        != {field.name for field in fields(getattr(trl, method.config)) if field.init}
    ]
    seen = {"learned": learned(stage(root, STAGES[2])), "unlike": unlike}
    (root / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
