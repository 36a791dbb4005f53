"""NeMo RL (0.6), from a checkout of its repository: SFT, DPO, reward models, GRPO and its kin, PPO.

Its options are keys of a YAML file that builds on one of its examples.  Those are examples: they
stop after some steps, keep three checkpoints and report to a tracker, none of which is wanted
here.  Checkpoints are renamed into place when they are whole; only consolidated ones are models.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from evalkit import Stage
from evalkit.errors import ConfigError
from evalkit.types import REWARD_MODEL

from . import _framework, _job, _launched, _options, _reward_files, conversion
from ._events import scalars
from ._logs import with_margin
from ._nemo_rl_disk import scan

SPEAKS = "nemo-rl 0.6, commit 7ea279abfbeb"
DATA = "train.jsonl"
CONFIG = "nemo.yaml"
OPTIONS: dict[str, Any] = {**_launched.OPTIONS, "python": ""}  # "": `uv run`, as NeMo RL wants it
EXAMPLES = {
    "sft": ("run_sft.py", "sft.yaml"),
    "dpo": ("run_dpo.py", "dpo.yaml"),
    "reward": ("run_rm.py", "rm.yaml"),
    "grpo": ("run_grpo.py", "grpo_math_1B.yaml"),
    "rloo": ("run_grpo.py", "grpo_math_1B.yaml"),
    "reinforce++": ("run_grpo.py", "grpo_math_1B.yaml"),
    "reinforce++-baseline": ("run_grpo.py", "grpo_math_1B.yaml"),
    "ppo": ("run_ppo.py", "ppo_math_1B.yaml"),
}
SECTIONS = {"sft": "sft", "dpo": "dpo", "reward": "rm", "ppo": "ppo"}  # of the others: grpo
ESTIMATORS: dict[str, dict[str, Any]] = {
    "rloo": {
        "grpo.adv_estimator.name": "grpo",
        "grpo.use_leave_one_out_baseline": True,
        "grpo.normalize_rewards": False,
        "loss_fn.disable_ppo_ratio": True,
    },
    "reinforce++": {
        "grpo.adv_estimator.name": "reinforce_plus_plus",
        "grpo.adv_estimator.minus_baseline": False,
    },
    "reinforce++-baseline": {
        "grpo.adv_estimator.name": "reinforce_plus_plus",
        "grpo.adv_estimator.minus_baseline": True,
    },
    "ppo": {"ppo.reward_scaling.enabled": False, "ppo.reward_shaping.enabled": False},
}
EVERY_STEP = 10**9
VERSION = re.compile(r"^(MAJOR|MINOR|PATCH) = (\d+)", re.M)
NAMES = {
    "loss": "loss",
    "lr": "learning_rate",
    "grad_norm": "grad_norm",
    "reward": "reward",
    "kl_penalty": "kl",
    "approx_entropy": "entropy",
    "truncation_rate": "completions/clipped_ratio",
    "mean_gen_tokens_per_sample": "completions/mean_length",
    "accuracy": "rewards/accuracies",
    "rewards_chosen_mean": "rewards/chosen",
    "rewards_rejected_mean": "rewards/rejected",
}


def command(stage: Stage, chat: bool = True) -> list[str]:
    """The command that trains a stage; `args` are overrides of its file."""
    place, (script, _) = _launched.folder(stage), EXAMPLES[stage.method]
    own = stage.options.get("python")
    start = [str(own)] if own else ["uv", "run"]
    rewarded = [str(place / "evalkit_nemo.py")] if stage.method in conversion.REWARDED else []
    overrides = [_options.hydra(name, value) for name, value in stage.args.items()]
    example = str(_checkout(stage) / "examples" / script)
    return [*start, *rewarded, example, "--config", str(place / CONFIG), *overrides]


def _checkout(stage: Stage) -> Path:
    return Path(str(stage.options.get("cwd", "")))


def settings(stage: Stage) -> dict[str, Any]:
    """The dotted keys that the stage's file sets, on top of the example."""
    place, section = _launched.folder(stage), SECTIONS.get(stage.method, "grpo")
    tokenizer = {"policy.tokenizer.name": stage.parent, "policy.tokenizer.chat_template": "default"}
    return {
        "policy.model_name": stage.parent,
        **tokenizer,  # the examples' own are toys
        "checkpointing.checkpoint_dir": str(place),
        "checkpointing.save_consolidated": True,
        "checkpointing.model_save_format": "safetensors",
        "checkpointing.keep_top_k": None,
        "checkpointing.metric_name": None,
        **({"checkpointing.save_period": 50} if stage.method == "reward" else {}),
        f"{section}.seed": stage.seed,
        f"{section}.max_num_epochs": 1,
        f"{section}.max_num_steps": EVERY_STEP,
        f"{section}.val_period": 0,
        f"{section}.val_at_start": False,
        **({"sft.only_unmask_final": True} if stage.method == "sft" else {}),
        **ESTIMATORS.get(stage.method, {}),
        **_data(stage, place),
        "logger.log_dir": str(place / "logs"),
        "logger.wandb_enabled": False,
        "logger.tensorboard_enabled": True,
        "cluster.gpus_per_node": _launched.gpus(stage),
    }


def _data(stage: Stage, place: Path) -> dict[str, Any]:
    paired = stage.method in conversion.PAIRED
    found: dict[str, Any] = {
        "data.train.dataset_name": "PreferenceDataset" if paired else "ResponseDataset",
        "data.train.data_path": str(place / DATA),
        "data.train.split": "train",
        "data.validation": None,
    }
    if stage.method in conversion.REWARDED:
        found |= {
            "data.train.split_validation_size": 0,
            "data.default.prompt_file": None,
            "data.default.processor": "evalkit",
            "data.default.env_name": "evalkit",
            "env.evalkit.name": stage.reward,
        }
    return found


def files(stage: Stage) -> Mapping[str, str]:
    """The file of settings, and the reward where there is one."""
    _, example = EXAMPLES[stage.method]
    nested: dict[str, Any] = {"defaults": str(_checkout(stage) / "examples" / "configs" / example)}
    for name, value in settings(stage).items():
        at = nested
        *parents, last = name.split(".")
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = value
    text = yaml.safe_dump(nested, sort_keys=False, allow_unicode=True)
    return {CONFIG: text, **_reward_files.files(stage, "_shim_nemo.py", "evalkit_nemo.py")}


def log(place: Path, text: Path) -> Sequence[tuple[int, Mapping[str, float]]]:
    """What was logged, step by step, from the files that NeMo RL writes for TensorBoard."""
    return [(step, with_margin(values)) for step, values in scalars(place, NAMES, "train/")]


def version(stage: Stage) -> str:
    """The version of the checkout and its commit; empty where there is no checkout here."""
    told = _checkout(stage) / "nemo_rl" / "package_info.py"
    if not told.exists():
        return ""
    stated = dict(VERSION.findall(told.read_text(encoding="utf-8")))
    known = ".".join(stated.get(part, "0") for part in ("MAJOR", "MINOR", "PATCH"))
    commit = _framework.checked_out(_checkout(stage))
    return f"{known}+{commit}" if commit else known


def check(stage: Stage) -> None:
    """Raises ConfigError for a stage that cannot be run."""
    script, example = EXAMPLES[stage.method]
    folder = _checkout(stage)
    if not stage.options.get("cwd"):
        raise ConfigError("trainer: cwd: name the folder of a checkout of NeMo RL's repository")
    _launched.check(stage, conversion.REWARDED)
    if stage.reward.startswith(REWARD_MODEL):
        raise ConfigError("reward: a reward model is served by trl and openrlhf, not by nemo-rl")
    for path in (folder / "examples" / script, folder / "examples" / "configs" / example):
        if not path.exists():
            raise ConfigError(f"trainer: cwd: there is no {path}: check out {SPEAKS}")
    known = _options.of_yaml(folder / "examples" / "configs" / example) | set(settings(stage))
    _options.check(stage.args, known, f"{example} of NeMo RL {version(stage)}")


def _paths(stage: Stage) -> Mapping[str, str]:
    """Where the reward and NeMo RL itself are imported from, in each of its processes."""
    before = os.environ.get("PYTHONPATH", "")
    places = [str(_launched.folder(stage)), str(_checkout(stage)), *([before] if before else [])]
    return {"PYTHONPATH": os.pathsep.join(places)}


FRAMEWORK = _job.Framework(
    "nemo-rl",
    DATA,
    conversion.to_nemo,
    conversion.write_jsonl,
    command,
    files,
    version,
    scan,
    log,
    environment=_paths,
)
TRAINERS = (
    _job.trainer(
        FRAMEWORK, EXAMPLES, check, lambda run: log(run, run), scorers=("reward",), options=OPTIONS
    ),
)
