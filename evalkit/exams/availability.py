"""Whether a benchmark's rows can be had without a download, told without reading any."""

from __future__ import annotations

import os
from pathlib import Path

from evalkit.errors import DataError
from evalkit.exams.data import locate
from evalkit.types import Task


def at_hand(task: Task) -> bool:
    """Whether the task is generated, or its files lie in EVALKIT_DATA or in the hub's cache."""
    source = task.source
    if source is None:
        return True
    try:
        folder = locate(source, None)
    except DataError:
        return False
    if folder is not None:
        return any(True for _ in folder.iterdir())
    return bool(source.hub) and _cached(source.hub, source.revision)


def _cached(hub: str, revision: str) -> bool:
    """Whether the hub's own cache has a snapshot of the data set."""
    home = os.environ.get("HF_HOME") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    )
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    return (cache / f"datasets--{hub.replace('/', '--')}" / "snapshots" / revision).is_dir()
