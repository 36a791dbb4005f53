"""What verl leaves on disk.

`huggingface/config.json` is in every checkpoint, with weights or without; what tells a whole one is
the tracker, which names the last step that was saved, and which is not renamed into place: it may
be empty when it is read.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from evalkit import Saved
from evalkit.identity.weights import files as model_files
from evalkit.identity.weights import parsed, quiet, saved

from .checkpoints import QUIET_SECONDS, by_hand, numbered

CHECKPOINT = re.compile(r"global_step_(\d+)")
TRACKER = "latest_checkpointed_iteration.txt"
SHARD = re.compile(r"model_world_size_(\d+)_rank_(\d+)\.pt")
MOST_RANKS = 100_000


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
    count = world if isinstance(world, int) and world <= MOST_RANKS else 0
    names = [f"model_world_size_{world}_rank_{at}.pt" for at in range(count)]
    return bool(names) and all(zipfile.is_zipfile(actor / name) for name in names)
