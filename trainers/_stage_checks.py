"""What can be told to be wrong with a stage of TRL's before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from evalkit import Stage
from evalkit.errors import ConfigError, TrainingError

from . import _accelerated, _arguments, data, rewards
from ._methods import METHODS, Method

OURS = {
    "output_dir": "the stage has a folder of its own",
    "seed": "set `seed` on the stage",
    "resume_from_checkpoint": "a stage that died goes on by itself",
}
GROUPS = {"grpo": 8, "rloo": 2}  # TRL's num_generations


def check(stage: Stage) -> None:
    """Raises ConfigError for a stage that cannot be run."""
    method = METHODS[stage.method]
    _arguments.check("args", method.config, stage.args, _arguments.names(method.config))
    for name, why in OURS.items():
        if name in stage.args:
            raise ConfigError(f"args: leave out {name!r}: {why}")
    if stage.lora:
        _arguments.check("lora", "LoraConfig", stage.lora, _arguments.lora_names())
    if stage.accelerate:
        _accelerated.check(stage.accelerate, saves=stage.evaluate != "final" and not stage.lora)
    if not stage.parent:
        raise ConfigError(f"parent: {stage.method} starts from a checkpoint: name one")
    _check_batches(stage, method)
    _check_saves(stage, method)
    data.check(stage.data, method.shapes, stage.paths)
    if method.rewarded:
        rewards.check(stage)
    elif stage.reward:
        raise ConfigError(f"reward: {stage.method} takes none; leave it out")


def _check_batches(stage: Stage, method: Method) -> None:
    args = stage.args
    batch = int(args.get("per_device_train_batch_size", 8))
    if stage.method == "kto" and batch < 2:
        raise ConfigError("args: kto takes a per_device_train_batch_size of 2 or more")
    if not method.rewarded or stage.accelerate:
        return
    steps = args.get("steps_per_generation") or args.get("gradient_accumulation_steps") or 1
    answers = int(args.get("generation_batch_size") or batch * int(steps))
    group = int(args.get("num_generations") or GROUPS[stage.method])
    if answers % group:
        raise ConfigError(
            f"args: {answers} answers at a time are no whole groups of num_generations, {group}"
        )


def _check_saves(stage: Stage, method: Method) -> None:
    """What is to be evaluated must be saved, and kept."""
    if stage.evaluate == "final":
        return
    if method.scores:
        raise ConfigError(
            f"evaluate: a checkpoint of {stage.method} gives no answers: leave it out"
        )
    if stage.args.get("save_total_limit"):
        raise ConfigError(
            "evaluate: save_total_limit removes what is to be evaluated: leave it out"
        )
    if isinstance(stage.evaluate, str):
        if stage.args.get("save_strategy", "no") not in ("steps", "epoch"):
            raise ConfigError("evaluate: nothing is saved on the way: set save_strategy in args")
        return
    most = int(stage.args.get("max_steps", 0))
    for step in stage.evaluate:
        if 0 < most < int(step):
            raise ConfigError(f"evaluate: there is no step {step}: max_steps is {most}")


def check_parent(stage: Stage) -> None:
    """Raises TrainingError unless the parent is a folder of weights, or may be a hub id."""
    folder = Path(stage.parent)
    if (folder / "config.json").is_file():
        return
    if (folder / "adapter_config.json").is_file():
        raise TrainingError(f"{stage.name}: {folder} is an adapter: merge it with its base first")
    if folder.is_absolute() or folder.exists() or stage.parent.count("/") != 1:
        raise TrainingError(f"{stage.name}: there is no checkpoint in {stage.parent}")
