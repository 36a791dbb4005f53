"""Run in a process of its own: a few steps of every method, and what TRL made of the data."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from evalkit import Stage, plugins
from evalkit.errors import TrainingError
from evalkit.training import manifest
from trainers._arguments import lora_names, names
from trainers._methods import METHODS
from trainers.trl_inprocess import _columns, rows_of, trainer_of

CPU = {
    "use_cpu": True,
    "max_steps": 2,
    "logging_steps": 1,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-3,
}
REWARD = """
calls = []

def varied(prompt, completion, row):
    return float(sum(map(ord, completion)) % 7)

def late(prompt, completion, row):
    calls.append(row)
    return 1 / (21 - len(calls))
"""
LONG = [3] * 8 + [100] + [3] * 8
TEXTS = "".join(json.dumps({"text": f"one {word} and two {word}"}) + "\n" for word in "abcdefgh")
TALK = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "good day"},
    {"role": "user", "content": "how are you"},
    {"role": "assistant", "content": "well"},
]
MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<assistant>"
    "{% generation %}{{ m.content }}<end>{% endgeneration %}"
    "{% else %}<{{ m.role }}>{{ m.content }}<end>{% endif %}{% endfor %}"
)
MIX = {"task:mini-arithmetic": 2.0, "task:mini-instruct": 1.0, "task:mini-chat": 1.0}
SUMS = {"task:mini-arithmetic": 1.0}
ROLLOUT = {**CPU, "num_generations": 2, "max_completion_length": 4}
EACH = {**CPU, "save_strategy": "steps", "save_steps": 1}
LONGER = {**EACH, "max_steps": 6, "lr_scheduler_type": "constant"}
FEW = {**LONGER, "num_generations": 2, "max_completion_length": 4}
KILLED = {"sft-killed", "grpo-killed"}
LORA = {"r": 2, "target_modules": "all-linear"}
STAGES: tuple[dict[str, Any], ...] = (
    {"name": "base", "method": "pretrain", "data": MIX, "args": {"steps": 3, "batch_size": 8}},
    {"name": "again", "method": "pretrain", "data": MIX, "args": {"steps": 3, "batch_size": 8}},
    {"name": "cpt", "method": "cpt", "parent": "base", "data": {"texts.jsonl": 1.0}, "args": CPU},
    {"name": "sft", "method": "sft", "parent": "base", "data": MIX, "args": EACH},
    {"name": "sft-whole", "method": "sft", "parent": "base", "data": MIX, "args": LONGER},
    {"name": "sft-killed", "method": "sft", "parent": "base", "data": MIX, "args": LONGER},
    {"name": "grpo-whole", "method": "grpo", "parent": "base", "data": SUMS, "args": FEW},
    {"name": "grpo-killed", "method": "grpo", "parent": "base", "data": SUMS, "args": FEW},
    {"name": "twin", "method": "sft", "parent": "base", "data": MIX, "args": CPU},
    {"name": "hub", "method": "sft", "parent": "org/tiny", "data": MIX, "args": CPU},
    {"name": "lora", "method": "sft", "parent": "base", "data": MIX, "args": EACH, "lora": LORA},
    {"name": "dpo", "method": "dpo", "parent": "sft", "data": MIX, "args": CPU},
    {"name": "kto", "method": "kto", "parent": "sft", "data": MIX, "args": CPU},
    {"name": "rm", "method": "reward", "parent": "sft", "data": MIX, "args": CPU, "lora": LORA},
    {"name": "grpo", "method": "grpo", "parent": "dpo", "data": SUMS, "args": ROLLOUT},
    {"name": "rloo", "method": "rloo", "parent": "dpo", "data": SUMS, "args": ROLLOUT},
)
STOPPED: dict[str, Any] = {
    "name": "stopped",
    "method": "grpo",
    "parent": "base",
    "data": SUMS,
    "args": {**ROLLOUT, "max_steps": 9},
}
REWARDS = {"rloo": "model:rm/final", "stopped": "reward.py:late"}


def stage(root: Path, spec: dict[str, Any]) -> Stage:
    parent = spec.get("parent", "")
    parent = str(root / parent / "final") if parent and "/" not in parent else parent
    own = "reward.py:varied" if spec["method"] in ("grpo", "rloo") else ""
    reward = REWARDS.get(spec["name"], own)
    return Stage(
        **{**spec, "out": str(root / spec["name"]), "parent": parent, "seed": 7, "reward": reward}
    )


def published(final: Path) -> None:
    """Puts a checkpoint into the hub's cache, as if it had been downloaded as org/tiny."""
    cache = Path(os.environ["HF_HOME"]) / "hub" / "models--org--tiny"
    shutil.copytree(final, cache / "snapshots" / "0")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0")


def learned(of: Stage) -> list[tuple[str, str]]:
    """Of a few rows: all that the model reads, and what of it counts in the loss."""
    trainer = trainer_of(of, rows_of(of))
    tokenizer = trainer.processing_class
    batch = next(iter(trainer.get_train_dataloader()))
    return [
        (tokenizer.decode(ids), tokenizer.decode(label[label != -100]))
        for ids, label in zip(batch["input_ids"], batch["labels"], strict=True)
    ]


def every_answer(root: Path, sft: Stage) -> Stage:
    """A stage that learns all answers of a conversation, marked by its parent's template."""
    parent = shutil.copytree(root / "base" / "final", root / "marked")
    (parent / "chat_template.jinja").write_text(MARKED)
    args = {**CPU, "assistant_only_loss": True}
    return replace(sft, data={"talks.jsonl": 1.0}, parent=str(parent), args=args)


def columns(root: Path) -> dict[str, list[str]]:
    """What TRL sees of rows of which only some have functions on offer or a margin."""
    pair = {"prompt": "a", "chosen": "b", "rejected": "c"}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    rows = [pair, {**pair, "tools": tools, "margin": 0.5, "note": "x"}]
    Path("some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {}
    for method in ("dpo", "reward"):
        spec = {"name": f"columns-{method}", "method": method, "parent": "base", "args": CPU}
        made = stage(root, {**spec, "data": {"some.jsonl": 1.0}})
        found[method] = sorted(_columns(rows_of(made)))
    return found


def numbers(root: Path) -> list[tuple[str, float, float]]:
    """TRL's losses beside ours."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.trl_numbers import pairs

    def make(method: str, args: dict[str, Any]) -> Stage:
        data = SUMS if method in ("grpo", "rloo") else MIX
        spec = {"name": f"numbers-{method}", "method": method, "parent": "sft", "data": data}
        made = stage(root, {**spec, "args": {**CPU, **args}})
        Path(made.out).mkdir()
        return made

    return pairs(make)


def refused(made: Stage) -> str:
    """What a stage that cannot end well says."""
    Path(made.out).mkdir()
    try:
        plugins.trainer(made.method).run(made)
    except TrainingError as error:
        return str(error)
    return "nothing"


def too_long(root: Path) -> dict[str, str]:
    """What each method says of a row too long for it."""
    row = {"completion": "b", "chosen": "b", "rejected": "c", "label": True}
    lines = [json.dumps({"prompt": "a " * count, **row}) + "\n" for count in LONG]
    Path("long.jsonl").write_text("".join(lines))
    data = {"long.jsonl": 1.0}
    said = {}
    for method in ("sft", "dpo", "kto", "reward", "grpo"):
        limit = {"max_length": 20}
        if method == "grpo":
            limit = {"max_completion_length": 450, "num_generations": 2}
        args = {**CPU, **limit, "max_steps": -1}
        spec = {"name": f"long-{method}", "method": method, "parent": "base"}
        said[method] = refused(stage(root, {**spec, "data": data, "args": args}))
    return said


def kill_at(made: Stage, step: int) -> None:
    """Trains in a process that is killed once it has saved that step."""
    child = os.fork()
    if child == 0:
        plugins.trainer(made.method).run(made)
        os._exit(0)
    while not any(entry["step"] >= step for entry in manifest.read(made.out)):
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main(root: Path) -> None:
    # In the working folder, which is the test's own.
    Path("reward.py").write_text(REWARD)
    Path("texts.jsonl").write_text(TEXTS)
    Path("talks.jsonl").write_text(json.dumps({"messages": TALK}) + "\n")
    for spec in STAGES:
        made = stage(root, spec)
        Path(made.out).mkdir()
        if spec["name"] in KILLED:
            kill_at(made, 2)
            (root / spec["name"] / "checkpoint-99").mkdir()  # as if it had begun another
        plugins.trainer(made.method).run(made)
        if spec["name"] == "base":
            published(root / "base" / "final")
        if spec["name"] == "sft-whole":  # as if it had died while it wrote its last folder
            shutil.rmtree(root / "sft-whole" / "final")
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
    seen = {
        "sft": learned(sft),
        "talks": learned(replace(sft, data={"talks.jsonl": 1.0})),
        "every answer": learned(every_answer(root, sft)),
        "columns": columns(root),
        "cpt": learned(stage(root, STAGES[2])),
        "unlike": unlike,
        "numbers": numbers(root),
        "long": too_long(root),
        "stopped": refused(stage(root, STOPPED)),
    }
    (root / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
