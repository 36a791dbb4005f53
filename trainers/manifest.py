"""What a trainer says of a checkpoint that it has made: the line that goes into the manifest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit import Stage
from evalkit.identity.weights import size
from evalkit.training.manifest import CHECKPOINT, NAME, read
from evalkit.training.manifest import append as add

__all__ = ["NAME", "append", "read", "register"]


def append(stage: Stage, path: str, step: int, backend: str, train: Mapping[str, Any]) -> None:
    """Registers a checkpoint of a trainer in this process; `backend` is a distribution.

    `path` is the checkpoint's folder, relative to the stage's.
    """
    from importlib.metadata import version

    known = version(backend).partition("+")[0]  # not the build
    register(stage, path, step, (backend, known), train)


def register(
    stage: Stage,
    path: str,
    step: int,
    framework: tuple[str, str],
    train: Mapping[str, Any],
) -> None:
    """Registers a checkpoint that a framework of that name and version has made."""
    out = Path(stage.out)
    entry = {
        "event": CHECKPOINT,
        "run": stage.name,
        "step": step,
        "path": path,
        "format": "hf",
        "backend": framework[0],
        "backend_version": framework[1],
        "method": stage.method,
        "parent": stage.parent,
        "args": dict(stage.args),
        "seed": stage.seed,
        **stage.lineage,
        "train": dict(train),
        "time": round(time.time(), 3),
        "bytes": size(out / path),
    }
    add(out, entry)
