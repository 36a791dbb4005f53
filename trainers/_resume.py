"""Which checkpoint a training goes on from: the last one that the manifest says is whole.

A checkpoint is registered once all of it is on disk, so whatever else lies in the folder is the
half of one, of a process that died while it was writing.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from evalkit.identity.weights import parsed

from . import manifest

STATE = "trainer_state.json"  # the last file that transformers writes into a checkpoint
FOLDER = re.compile(r"checkpoint-\d+")


def last_whole(out: str | Path) -> str | None:
    """The folder of the checkpoint that training can go on from; none: from the start."""
    steps = sorted({entry["step"] for entry in _registered(out)}, reverse=True)
    folders = (Path(out) / f"checkpoint-{step}" for step in steps)
    return next((str(folder) for folder in folders if _resumable(folder)), None)


def ended(folder: str | Path) -> bool:
    """Whether a checkpoint of transformers is that of the last step."""
    state = parsed(Path(folder) / STATE)
    return 0 < int(state.get("max_steps", 0)) <= int(state.get("global_step", 0))


def clear(out: str | Path) -> None:
    """Removes what is left of checkpoints that were never finished."""
    known = {entry["path"] for entry in _registered(out)}
    for folder in Path(out).iterdir():
        half = FOLDER.fullmatch(folder.name) and folder.name not in known
        if half or folder.name.endswith(".part"):
            shutil.rmtree(folder, ignore_errors=True)


def _registered(out: str | Path) -> list[dict[str, str | int]]:
    return [entry for entry in manifest.read(out) if FOLDER.fullmatch(str(entry["path"]))]


def _resumable(folder: Path) -> bool:
    """Whether it holds weights, the optimizer's state, and how far training had come.

    FSDP and DeepSpeed keep shards of both in folders of their own.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        state = parsed(folder / STATE)
        files = [path for path in folder.iterdir() if path.is_dir() or path.stat().st_size]
        weights = any(path.suffix == ".safetensors" or path.is_dir() for path in files)
        optimizer = any(path.name.startswith("optimizer") or path.is_dir() for path in files)
        return int(state["global_step"]) > 0 and weights and optimizer
    return False
