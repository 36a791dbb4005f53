"""OpenRLHF (0.10.2 and later): SFT, DPO and reward models by DeepSpeed; PPO and kin by Ray.

Its options are those of `openrlhf/cli/train_*.py`.  Rotation counts every folder beside a
checkpoint, exported ones too, so SFT, DPO and reward models keep no state of DeepSpeed's, and
nothing is rotated; PPO and kin rotate what they can resume from, in a folder of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit import Stage
from evalkit.types import REWARD_MODEL

from . import _job, _launched, _options, _reward_files, conversion
from ._events import scalars
from ._logs import with_margin
from ._openrlhf_disk import scan

SPEAKS = "openrlhf>=0.10.2"
DATA = "train.jsonl"
MODULES = {
    "cpt": "train_sft",
    "sft": "train_sft",
    "dpo": "train_dpo",
    "reward": "train_rm",
    **dict.fromkeys(conversion.REWARDED, "train_ppo_ray"),
}
ESTIMATORS = {
    "ppo": "gae",
    "grpo": "group_norm",
    "rloo": "rloo",
    "reinforce++": "reinforce",
    "reinforce++-baseline": "reinforce_baseline",
}
GROUP = 8  # answers to a prompt, where an estimator compares them
EVERY_ROW = 10**9  # it reads a million rows otherwise
NAMES = {
    "loss_mean": "loss",
    "gpt_loss": "loss",
    "policy_loss": "loss",
    "lr": "learning_rate",
    "actor_lr": "learning_rate",
    "grad_norm": "grad_norm",
    "actor_grad_norm": "grad_norm",
    "acc_mean": "rewards/accuracies",
    "chosen_reward": "rewards/chosen",
    "reject_reward": "rewards/rejected",
    "kl": "kl",
    "entropy_loss": "entropy",
    "ppo_clip_ratio": "clip_ratio/region_mean",
    "rollout/reward_mean": "reward",
    "rollout/reward_std": "reward_std",
    "rollout/truncated_rate": "completions/clipped_ratio",
    "rollout/response_length_mean": "completions/mean_length",
    "critic_loss": "value_loss",
}


def command(stage: Stage, chat: bool) -> list[str]:
    """The command that trains a stage; `args` come before whatever is chosen here."""
    rewarded = stage.method in conversion.REWARDED
    chosen = {**_common(stage), **(_rl(stage, chat) if rewarded else _offline(stage, chat))}
    module = f"openrlhf.cli.{MODULES[stage.method]}"
    start = ["-m", module]
    if not rewarded:
        count = str(_launched.gpus(stage))
        start = ["-m", "deepspeed.launcher.runner", "--num_gpus", count, "--module", module]
    return [_launched.python(stage), *start, *_flags({**chosen, **stage.args})]


def _flags(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if value is None or value is False:
            continue  # a switch that is off, or an option left to its default
        yield f"--{name}"
        if value is not True:
            yield from map(str, value if isinstance(value, list | tuple) else [value])


def _common(stage: Stage) -> dict[str, Any]:
    place = _launched.folder(stage)
    return {
        "ckpt.output_dir": place / _launched.FINAL,
        "ckpt.path": place,
        "ckpt.save_hf": True,
        "logger.tensorboard_dir": place / "tensorboard",
        "train.seed": stage.seed,
        "data.max_samples": EVERY_ROW,
    }


def _offline(stage: Stage, chat: bool) -> dict[str, Any]:
    found = {
        "model.model_name_or_path": stage.parent,
        "data.dataset": _launched.folder(stage) / DATA,
        "ckpt.disable_ds": True,
    }
    if stage.method == "cpt":
        return {**found, "model.pretrain_mode_enable": True, "data.input_key": "text"}
    form: dict[str, Any] = {"data.apply_chat_template": True} if chat else {}
    if stage.method == "sft":
        keys = {"data.input_key": "prompt", "data.output_key": "completion"}
        plain = {} if chat else {"data.input_template": ""}  # else `User: … Assistant: …`
        return {**found, **keys, **form, **plain}
    reference = {"ref.model_name_or_path": stage.parent} if stage.method == "dpo" else {}
    return {**found, **reference, "data.prompt_key": "prompt", **form}


def _rl(stage: Stage, chat: bool) -> dict[str, Any]:
    place, gpus = _launched.folder(stage), _launched.gpus(stage)
    groups = (
        {} if stage.method in ("ppo", "reinforce++") else {"rollout.n_samples_per_prompt": GROUP}
    )
    loss = {"algo.kl.use_loss": True, "algo.kl.estimator": "k3"} if stage.method == "grpo" else {}
    critic = {"critic.num_gpus_per_node": gpus} if stage.method == "ppo" else {}
    return {
        "actor.model_name_or_path": stage.parent,
        "data.prompt_dataset": place / DATA,
        "data.input_key": "prompt",
        "data.label_key": "row",
        **({"data.apply_chat_template": True} if chat else {}),
        **_grader(stage, place, gpus),
        "algo.advantage.estimator": ESTIMATORS[stage.method],
        **groups,
        **loss,
        "actor.num_gpus_per_node": gpus,
        "ref.num_gpus_per_node": gpus,
        **critic,
        "vllm.num_engines": gpus,
        "vllm.gpu_memory_utilization": 0.5,
        "train.colocate_all": True,
        "vllm.enable_sleep": True,
        "ds.enable_sleep": True,
        "actor.entropy_coef": 0,  # only logs it
        "ckpt.load_enable": True,  # a job that died goes on
    }


def _grader(stage: Stage, place: Path, gpus: int) -> dict[str, Any]:
    if stage.reward.startswith(REWARD_MODEL):
        served = stage.reward.removeprefix(REWARD_MODEL)
        return {"reward.model_name_or_path": served, "reward.num_gpus_per_node": gpus}
    return {"reward.remote_url": place / "reward.py"}


def log(place: Path, text: Path) -> Sequence[tuple[int, Mapping[str, float]]]:
    """What was logged, step by step, from the files that OpenRLHF writes for TensorBoard."""
    found = scalars(place / "tensorboard", NAMES, "train/")
    return [(step, with_margin(values)) for step, values in found]


def files(stage: Stage) -> Mapping[str, str]:
    """The reward, where there is one."""
    if stage.reward.startswith(REWARD_MODEL):
        return {}
    return _reward_files.files(stage, "_shim_openrlhf.py", "reward.py")


def check(stage: Stage) -> None:
    """Raises ConfigError for a stage that cannot be run."""
    _launched.check(stage, conversion.REWARDED)
    parser = f"cli/{MODULES[stage.method]}.py"
    _launched.check_args(stage, "openrlhf", parser, _options.of_parser, SPEAKS)


FRAMEWORK = _job.Framework(
    "openrlhf",
    DATA,
    conversion.to_openrlhf,
    conversion.write_jsonl,
    command,
    files,
    lambda stage: _launched.version(stage, "openrlhf"),
    scan,
    log,
    resumes=lambda stage: stage.method in conversion.REWARDED,
)
TRAINERS = (
    _job.trainer(FRAMEWORK, MODULES, check, lambda run: log(run, run), scorers=("reward",)),
)
