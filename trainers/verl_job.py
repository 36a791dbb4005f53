"""verl (0.8 and later): SFT by torchrun; GRPO, RLOO, REINFORCE++ and PPO by Ray.

Its options are keys of Hydra's.  `huggingface/config.json` is in every checkpoint, with weights
or without; what tells a whole one is the tracker, which names the last step that was saved, and
which is not renamed into place: it may be empty when it is read.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit import Saved, Stage, Trainer
from evalkit.errors import ConfigError
from evalkit.types import REWARD_MODEL
from evalkit.weights import files as model_files
from evalkit.weights import parsed, quiet, saved

from . import _job, _options, conversion
from .checkpoints import QUIET_SECONDS, by_hand, export, numbered

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
CHECKPOINT = re.compile(r"global_step_(\d+)")
TRACKER = "latest_checkpointed_iteration.txt"
SHARD = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
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
        count = f"--nproc_per_node={_job.gpus(stage)}"
        start = ["-m", "torch.distributed.run", "--standalone", "--nnodes=1", count, *start]
    overrides = [_options.hydra(name, value) for name, value in {**chosen, **stage.args}.items()]
    return [_job.python(stage), *start, *overrides]


def _common(stage: Stage) -> dict[str, Any]:
    place = _job.folder(stage)
    return {
        "data.train_files": place / DATA,
        "trainer.default_local_dir": place,
        "trainer.project_name": "evalkit",
        "trainer.experiment_name": stage.name,
        "trainer.logger": ["console"],
        "trainer.n_gpus_per_node": _job.gpus(stage),
    }


def _sft(stage: Stage) -> dict[str, Any]:
    return {
        "model.path": stage.parent,
        "trainer.seed": stage.seed,
        "checkpoint.save_contents": CONTENTS,
    }


def _rl(stage: Stage) -> dict[str, Any]:
    place = _job.folder(stage)
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


def scan(run: Path, settled: float = QUIET_SECONDS) -> Sequence[Saved]:
    """The whole checkpoints of a run, by step.

    A step counts up to the one that the tracker names.  Where there is no tracker (FSDP saved
    asynchronously writes none), a checkpoint counts when its last file, the state of the
    data's reader, is there and nothing was written for `settled` seconds.
    """
    reached = _reached(run)

    def whole(step: int, folder: Path) -> Saved | None:
        actor = folder / "actor" if (folder / "actor").is_dir() else folder
        if parsed(actor / "ckpt_contents.json"):  # Megatron's last file
            made = saved(step, actor / "model" / "huggingface")
            return made or by_hand(step, actor, "verl-megatron")
        if reached is None and not _settled(folder, actor, settled):
            return None
        return _sharded(step, actor) if reached is None or step <= reached else None

    return list(numbered(run, CHECKPOINT, whole))


def _reached(run: Path) -> int | None:
    """The last step that was saved whole; -1 while the tracker is written, None without one."""
    try:
        text = (run / TRACKER).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else -1


def _settled(folder: Path, actor: Path, seconds: float) -> bool:
    last = [path for path in folder.glob("data*.pt") if zipfile.is_zipfile(path)]
    return bool(last) and quiet(actor, seconds)


def _sharded(step: int, actor: Path) -> Saved | None:
    """The model in Hugging Face's layout, or the shards it can be made of."""
    beside = actor / "huggingface"
    found = saved(step, beside) if beside.is_dir() else None
    if found or not _all_ranks(actor):
        return found
    shards = {path.name: str(path) for path in actor.iterdir() if SHARD.fullmatch(path.name)}
    names = model_files(beside) if beside.is_dir() else {}
    lora = actor / "lora_train_meta.json"
    extra = {lora.name: str(lora)} if lora.exists() else {}
    return Saved(step, str(actor), "fsdp", {**names, **shards, **extra})


def _all_ranks(actor: Path) -> bool:
    world = parsed(actor / "fsdp_config.json").get("world_size")
    names = [f"model_world_size_{world}_rank_{rank}.pt" for rank in range(world or 0)]
    return bool(names) and all(zipfile.is_zipfile(actor / name) for name in names)


def log(place: Path, text: Path) -> Iterator[tuple[int, Mapping[str, float]]]:
    """What was logged, step by step, from the lines that verl prints."""
    found: dict[int, dict[str, float]] = {}
    for line in _job.lines(text):
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
    return _job.reward_files(stage, "_shim_verl.py", "reward.py")


def version(stage: Stage) -> str:
    """The version that the stage's interpreter has; empty where that cannot be told here."""
    has = _job.found(stage, "verl", "verl")
    return has.version if has else ""


def check(stage: Stage) -> None:
    """Raises ConfigError for a stage that cannot be run."""
    _job.check(stage, conversion.REWARDED)
    if stage.reward.startswith(REWARD_MODEL):
        raise ConfigError("reward: a reward model is served by trl and openrlhf, not by verl")
    has = _job.found(stage, "verl", "verl")
    if has and has.folder:
        name = CONFIGS.get(stage.method, RL_CONFIG)
        path = has.folder / "trainer" / "config" / name
        if not path.exists():
            raise ConfigError(f"trainer: verl {has.version} has no {name}: use {SPEAKS}")
        _options.check(stage.args, _options.of_yaml(path), f"{name} of verl {has.version}")


def run(stage: Stage) -> None:
    """Trains as a job, and registers every checkpoint and last of all `final`."""
    _job.run(stage, FRAMEWORK)


FRAMEWORK = _job.Framework(
    "verl",
    DATA,
    conversion.to_verl,
    conversion.write_parquet,
    command,
    files,
    version,
    scan,
    log,
)
TRAINERS = (
    Trainer(
        "verl",
        methods=tuple(MODULES),
        run=run,
        check=check,
        resumes=True,
        launched=True,
        options=_job.OPTIONS,
        environment=lambda stage: {"verl": version(stage)},
        scan=scan,
        export=export,
        logged=lambda run: [*log(run, run / "train.log")],
    ),
)
