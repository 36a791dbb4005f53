"""Continual pre-training, SFT, DPO, KTO, reward models, GRPO and RLOO, by TRL.

A stage's `args` go to TRL's own configuration as they are; what they leave out is TRL's default,
but for the few values below.  Only answers are learned from, never prompts.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalkit import Prompt, Stage, Trainer
from evalkit.errors import ConfigError, TrainingError
from evalkit.types import REWARD_MODEL

from . import _accelerated, _lora, checkpoints, data, manifest, rewards
from ._callbacks import metrics, registrar, saved
from ._lengths import check_lengths
from ._methods import METHODS, Method
from ._resume import STATE, clear, ended, last_whole
from ._shapes import Row
from ._stage_checks import check, check_parent
from .data import AT

# what TRL would otherwise ask of a processor that is to do the work of a GPU
ON_CPU = {"bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}
QUIET = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True}


def prompts(stage: Stage) -> Iterator[Prompt]:
    """What the stage would learn to answer."""
    return data.prompts(stage, METHODS[stage.method].shapes)


def run(stage: Stage) -> None:
    """Trains, and registers every checkpoint and last of all `final`."""
    check(stage)
    check_parent(stage)
    clear(stage.out)
    if stage.accelerate:
        rows_of(stage)  # pairs are made once, before the processes that are to agree on them
        _accelerated.launch(stage)
    else:
        train(stage)


def train(stage: Stage) -> None:
    """Trains in this process, which may be one of several."""
    _prepare(stage)
    method, rows = METHODS[stage.method], rows_of(stage)
    trainer = trainer_of(stage, rows)
    check_lengths(stage, method, trainer, rows)
    try:
        _learn(trainer, last_whole(stage.out))
    except rewards.RewardError as error:
        raise rewards.RewardError(f"{error}{_keep(stage, trainer)}") from error
    _finish(stage, method, trainer)


def _learn(trainer: Any, last: str | None) -> None:
    """Trains to the end, from the checkpoint if there is one."""
    from transformers import TrainerState

    whole = not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)
    if last is None or not (ended(last) and whole):
        trainer.train(resume_from_checkpoint=last)
        return
    trainer._load_from_checkpoint(last)  # transformers would take a step beyond the last
    trainer.state = TrainerState.load_from_json(str(Path(last) / STATE))


def rows_of(stage: Stage) -> list[Row]:
    """The rows that TRL is to see, each with the place it is from."""
    method = METHODS[stage.method]
    return method.rows(stage, data.mixed(stage, method.shapes))


def trainer_of(stage: Stage, rows: list[Row]) -> Any:
    """TRL's trainer of the stage; raises ConfigError for arguments that TRL refuses."""
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer, PrinterCallback

    method = METHODS[stage.method]
    given = {**QUIET, **(ON_CPU if stage.args.get("use_cpu") else {}), **stage.args}
    try:
        config = getattr(trl, method.config)(output_dir=stage.out, seed=stage.seed, **given)
        trainer = getattr(trl, method.trainer)(
            model=stage.parent,
            args=config,
            train_dataset=Dataset.from_dict(_columns(rows)),
            processing_class=AutoTokenizer.from_pretrained(stage.parent),
            callbacks=[registrar(stage)],
            peft_config=_lora.config(stage, scores=method.scores),
            **_reward(stage, method),
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"args: {method.config} refuses them: {error}") from error
    except ImportError as error:  # such as vLLM, which lives where it is wanted
        raise TrainingError(f"{stage.name}: {error}") from error
    trainer.remove_callback(PrinterCallback)  # standard output is not ours
    return trainer


def _columns(rows: list[Row]) -> dict[str, list[Any]]:
    """What each row has under every name that any row has, but for where it is from."""
    names = dict.fromkeys(name for row in rows for name in row if name != AT)
    return {name: [row.get(name) for row in rows] for name in names}


def _reward(stage: Stage, method: Method) -> dict[str, Any]:
    if not method.rewarded:
        return {}
    if stage.reward.startswith(REWARD_MODEL):  # TRL asks it for a whole batch at a time
        return {"reward_funcs": [stage.reward.removeprefix(REWARD_MODEL)]}
    reward = rewards.load(stage.reward, stage.paths)
    return {"reward_funcs": [rewards.for_trl(reward, stage.reward)]}


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


def _keep(stage: Stage, trainer: Any) -> str:
    """Saves what had been trained when a reward failed; with several devices that was done last.

    Says where it is.
    """
    if trainer.args.world_size == 1 and trainer.state.global_step:
        trainer._save_checkpoint(trainer.model, trial=None)
        saved(stage, trainer.state)
    kept = last_whole(stage.out)
    return f"; what was learned until then is kept in {kept}" if kept else ""


def _finish(stage: Stage, method: Method, trainer: Any) -> None:
    """Writes `final`, which is there only once it is whole, and registers it."""
    out = Path(stage.out)
    part, adapter = out / "final.part", out / "adapter"
    if trainer.is_fsdp_enabled:  # one file that transformers loads, however training saved
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(adapter if stage.lora else part))
    if not trainer.is_world_process_zero():
        return
    if stage.lora:
        _lora.merge(stage.parent, adapter, part, pad=trainer.processing_class.pad_token_id,
                    scores=method.scores)  # fmt: skip
    trainer.processing_class.save_pretrained(part)
    shutil.rmtree(out / "final", ignore_errors=True)
    part.rename(out / "final")
    state = trainer.state
    manifest.append(stage, "final", state.global_step, "trl", metrics(state))


TRAINERS = (
    Trainer(
        "trl",
        methods=tuple(METHODS),
        run=run,
        check=check,
        packages=("accelerate", "datasets", "peft", "torch", "transformers", "trl"),
        takes=("lora", "accelerate"),
        scorers=tuple(name for name, method in METHODS.items() if method.scores),
        resumes=True,
        prompts=prompts,
        scan=checkpoints.scan,
        export=checkpoints.export,
        logged=checkpoints.logged,
    ),
)
