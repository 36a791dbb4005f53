"""SFT, DPO and GRPO by TRL, in this process.

A stage's `args` go to TRL's own configuration as they are; what they leave out is TRL's default,
but for the few values below.  Only the answers are learned from, never the prompts.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit import Stage, Trainer
from evalkit.errors import ConfigError, TrainingError, did_you_mean

from . import data, manifest, rewards
from ._arguments import names
from ._pairs import on_policy
from .data import Row

# what TRL would otherwise ask of a processor that is to do the work of a GPU
ON_CPU = {"bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}
QUIET = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True}
OURS = {"output_dir": "the stage has a folder of its own", "seed": "set `seed` on the stage"}


def _seen(stage: Stage) -> int:
    """How many rows `max_steps` steps see; 0 where the length is given in epochs."""
    steps = int(stage.args.get("max_steps", 0))
    batch = int(stage.args.get("per_device_train_batch_size", 8))
    return max(0, steps) * batch * int(stage.args.get("gradient_accumulation_steps", 1))


@dataclass(frozen=True)
class Method:
    """How a method is called in TRL, and what its rows must have."""

    trainer: str
    config: str
    file: str
    columns: tuple[str, ...]
    rows: Callable[[Stage, list[Row]], list[Row]]


def _demonstrations(stage: Stage, rows: list[Row]) -> list[Row]:
    seen = rows[: _seen(stage) or None]  # TRL tokenizes all that it is given
    return [{"prompt": row["prompt"], "completion": row["completion"]} for row in seen]


def _preferences(stage: Stage, rows: list[Row]) -> list[Row]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if any("rejected" not in row for row in rows):
        model: Any = AutoModelForCausalLM.from_pretrained(stage.parent)
        model.to(_device(stage)).eval()
        tokenizer = AutoTokenizer.from_pretrained(stage.parent)
        rows = on_policy(rows, model, tokenizer, _seen(stage), stage.seed)
        if not rows:
            raise TrainingError(f"{stage.name}: the parent answers everything right: no pairs")
    return [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in rows]


def _questions(_: Stage, rows: list[Row]) -> list[Row]:
    return [{"prompt": row["prompt"], "row": json.dumps(row)} for row in rows]


METHODS = {
    "sft": Method(
        "SFTTrainer",
        "SFTConfig",
        "sft_config.py",
        ("prompt", "completion"),
        _demonstrations,
    ),
    "dpo": Method(
        "DPOTrainer",
        "DPOConfig",
        "dpo_config.py",
        ("prompt", "chosen", "rejected"),
        _preferences,
    ),
    "grpo": Method("GRPOTrainer", "GRPOConfig", "grpo_config.py", ("prompt",), _questions),
}


def check(stage: Stage) -> None:
    """Raises ConfigError for a stage that cannot be run."""
    method = METHODS[stage.method]
    known = names(method.config, method.file)
    for name in stage.args:
        if name not in known:
            raise ConfigError(f"args: {method.config} has no {name!r}{did_you_mean(name, known)}")
        if name in OURS:
            raise ConfigError(f"args: leave out {name!r}: {OURS[name]}")
    if not stage.parent:
        raise ConfigError(f"parent: {stage.method} starts from a checkpoint: name one")
    data.check(stage.data, method.columns)
    if stage.method == "grpo":
        rewards.check(stage.reward, stage.data)
    elif stage.reward:
        raise ConfigError(f"reward: {stage.method} takes none; leave it out")


def run(stage: Stage) -> None:
    """Trains, and registers every checkpoint and last of all `final`."""
    check(stage)
    if not (Path(stage.parent) / "config.json").is_file():
        raise TrainingError(f"{stage.name}: there is no checkpoint in {stage.parent}")
    _prepare(stage)
    method = METHODS[stage.method]
    rows = method.rows(stage, data.mixed(stage.data, stage.seed, method.columns))
    trainer = _trainer(stage, method, rows)
    trainer.train()
    final = Path(stage.out) / "final"
    trainer.save_model(str(final))
    trainer.processing_class.save_pretrained(final)
    manifest.append(stage, "final", trainer.state.global_step, "trl", _metrics(trainer.state))


def _prepare(stage: Stage) -> None:
    import datasets
    import torch
    import transformers

    # TRL's own use of names that transformers has renamed
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if stage.args.get("use_cpu"):  # sums of several threads differ from machine to machine
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    transformers.set_seed(stage.seed)


def _trainer(stage: Stage, method: Method, rows: list[Row]) -> Any:
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer, PrinterCallback

    given = {**QUIET, **(ON_CPU if stage.args.get("use_cpu") else {}), **stage.args}
    try:
        config = getattr(trl, method.config)(output_dir=stage.out, seed=stage.seed, **given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"args: {method.config} refuses them: {error}") from error
    extra: dict[str, Any] = {}
    if stage.method == "grpo":
        extra["reward_funcs"] = [rewards.for_trl(rewards.load(stage.reward))]
    trainer = getattr(trl, method.trainer)(
        model=stage.parent,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(stage.parent),
        callbacks=[_registrar(stage)],
        **extra,
    )
    trainer.remove_callback(PrinterCallback)  # standard output is not ours
    return trainer


def _registrar(stage: Stage) -> Any:
    from transformers import TrainerCallback

    class Registrar(TrainerCallback):
        """Registers each checkpoint once it is on disk."""

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            path = f"checkpoint-{state.global_step}"
            manifest.append(stage, path, state.global_step, "trl", _metrics(state))

    return Registrar()


def _metrics(state: Any) -> dict[str, float]:
    """The latest training metrics, without what depends on the clock."""
    logged: Iterable[dict[str, Any]] = reversed(state.log_history)
    last = next((entry for entry in logged if "train_runtime" not in entry), {})
    clock = ("step_time", "runtime", "per_second")
    return {
        name: float(value)
        for name, value in last.items()
        if isinstance(value, int | float) and not name.endswith(clock)
    }


def _device(stage: Stage) -> str:
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if stage.args.get("use_cpu") or found is None else str(found)


TRAINERS = (
    Trainer(
        "trl",
        methods=tuple(METHODS),
        run=run,
        check=check,
        packages=("accelerate", "datasets", "torch", "transformers", "trl"),
    ),
)
