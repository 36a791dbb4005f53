"""verl (0.8 and later): SFT by torchrun; GRPO, RLOO, REINFORCE++ and PPO by Ray.

Its options are keys of Hydra's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit import Stage
from evalkit.errors import ConfigError
from evalkit.types import REWARD_MODEL

from . import _job, _launched, _options, _reward_files, conversion
from ._logs import lines
from ._verl_disk import scan

SPEAKS = "verl>=0.8"
DATA = "train.parquet"
MODULES = {
    "sft": "verl.trainer.sft_trainer",
    **dict.fromkeys(conversion.REWARDED, "verl.trainer.main_ppo"),
}
CONFIGS = {"sft": "sft_trainer_engine.yaml"}  # of the others: RL_CONFIG
RL_CONFIG = "_generated_ppo_trainer.yaml"  # verl's own, with everything that it is made of
ESTIMATORS = {
    "ppo": "gae",
    "grpo": "grpo",
    "rloo": "rloo",
    "reinforce++": "reinforce_plus_plus",
    "reinforce++-baseline": "reinforce_plus_plus_baseline",
}
GROUP = 8
NO_STEP = 10**9
CONTENTS = ["model", "optimizer", "extra", "hf_model"]
LINE = re.compile(r"\bstep:(\d+) - (.*)")
VALUE = re.compile(r"([^\s:]+(?:\([^)]*\))?):(?:np\.\w+\()?(-?(?:inf|nan|[\d.]+(?:e[+-]?\d+)?))")
NAMES = {
    "train/loss": "loss",
    "train/lr": "learning_rate",
    "train/grad_norm": "grad_norm",
    "actor/pg_loss": "loss",
    "actor/loss": "loss",
    "actor/lr": "learning_rate",
    "actor/grad_norm": "grad_norm",
    "actor/entropy": "entropy",
    "actor/kl_loss": "kl",
    "actor/reward_kl_penalty": "kl",
    "actor/pg_clipfrac": "clip_ratio/region_mean",
    "critic/score/mean": "reward",
    "response_length/clip_ratio": "completions/clipped_ratio",
    "response_length/mean": "completions/mean_length",
    "critic/vf_loss": "value_loss",
}


def command(stage: Stage, chat: bool = True) -> list[str]:
    """The command that trains a stage; `args` come before whatever is chosen here."""
    chosen = {**_common(stage), **(_sft(stage) if stage.method == "sft" else _rl(stage))}
    start = ["-m", MODULES[stage.method]]
    if stage.method == "sft":
        count = f"--nproc_per_node={_launched.gpus(stage)}"
        start = ["-m", "torch.distributed.run", "--standalone", "--nnodes=1", count, *start]
    overrides = [_options.hydra(name, value) for name, value in {**chosen, **stage.args}.items()]
    return [_launched.python(stage), *start, *overrides]


def _common(stage: Stage) -> dict[str, Any]:
    place = _launched.folder(stage)
    return {
        "data.train_files": place / DATA,
        "trainer.default_local_dir": place,
        "trainer.project_name": "evalkit",
        "trainer.experiment_name": stage.name,
        "trainer.logger": ["console"],
        "trainer.n_gpus_per_node": _launched.gpus(stage),
    }


def _sft(stage: Stage) -> dict[str, Any]:
    return {
        "model.path": stage.parent,
        "trainer.seed": stage.seed,
        "checkpoint.save_contents": CONTENTS,
    }


def _rl(stage: Stage) -> dict[str, Any]:
    place = _launched.folder(stage)
    critic = {"critic.model.path": stage.parent} if stage.method == "ppo" else {}
    groups = (
        {} if stage.method in ("ppo", "reinforce++") else {"actor_rollout_ref.rollout.n": GROUP}
    )
    return {
        "data.val_files": place / DATA,  # it reads some, even where it validates nothing
        "data.val_max_samples": 1,
        "data.seed": stage.seed,
        "algorithm.adv_estimator": ESTIMATORS[stage.method],
        **_penalty(stage.method),
        "actor_rollout_ref.model.path": stage.parent,
        "actor_rollout_ref.actor.use_dynamic_bsz": True,  # else micro-batches must be given
        "actor_rollout_ref.actor.checkpoint.save_contents": CONTENTS,
        "actor_rollout_ref.rollout.name": "vllm",
        "actor_rollout_ref.rollout.tensor_model_parallel_size": 1,
        **groups,
        **critic,
        "reward.custom_reward_function.path": place / "reward.py",
        "reward.custom_reward_function.name": "compute_score",
        "trainer.val_before_train": False,
        "trainer.save_freq": NO_STEP,  # the last alone; left to itself it saves nothing at all
    }


def _penalty(method: str) -> dict[str, Any]:
    """Where the distance to the reference counts: in the loss for GRPO, else in the reward."""
    if method == "grpo":
        return {
            "actor_rollout_ref.actor.use_kl_loss": True,
            "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
            "algorithm.use_kl_in_reward": False,
        }
    return {"algorithm.use_kl_in_reward": True, "algorithm.kl_penalty": "kl"}


def log(place: Path, text: Path) -> Iterator[tuple[int, Mapping[str, float]]]:
    """What was logged, step by step, from the lines that verl prints."""
    found: dict[int, dict[str, float]] = {}
    for line in lines(text):
        if match := LINE.search(line):
            values = {
                NAMES[name]: float(value)
                for name, value in VALUE.findall(match[2])
                if name in NAMES
            }
            found.setdefault(int(match[1]), {}).update(values)
    yield from sorted(found.items())


def files(stage: Stage) -> Mapping[str, str]:
    """The reward, where there is one."""
    return _reward_files.files(stage, "_shim_verl.py", "reward.py")


def check(stage: Stage) -> None:
    """Raises ConfigError for a stage that cannot be run."""
    _launched.check(stage, conversion.REWARDED)
    if stage.reward.startswith(REWARD_MODEL):
        raise ConfigError("reward: a reward model is served by trl and openrlhf, not by verl")
    config = f"trainer/config/{CONFIGS.get(stage.method, RL_CONFIG)}"
    _launched.check_args(stage, "verl", config, _options.of_yaml, SPEAKS)


FRAMEWORK = _job.Framework(
    "verl",
    DATA,
    conversion.to_verl,
    conversion.write_parquet,
    command,
    files,
    lambda stage: _launched.version(stage, "verl"),
    scan,
    log,
)
TRAINERS = (_job.trainer(FRAMEWORK, MODULES, check, lambda run: [*log(run, run / "train.log")]),)
