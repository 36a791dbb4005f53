"""The run manifest: what a stage has made, one line of JSON per checkpoint, only ever appended.

    {"event": "checkpoint", "run": "sft", "step": 200, "path": "checkpoint-200", "format": "hf",
     "backend": "trl", "backend_version": "1.16.0", "method": "sft", "parent": "…", "train": {…}}

A line is written after its checkpoint is whole on disk, so whoever reads it may use the files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit import Stage

NAME = "evalkit.jsonl"


def append(stage: Stage, path: str, step: int, backend: str, train: Mapping[str, Any]) -> None:
    """Registers a checkpoint whose folder, relative to the stage's, is `path`."""
    from importlib.metadata import version

    entry = {
        "event": "checkpoint",
        "run": stage.name,
        "step": step,
        "path": path,
        "format": "hf",
        "backend": backend,
        "backend_version": version(backend).partition("+")[0],  # not the build
        "method": stage.method,
        "parent": stage.parent,
        "train": dict(train),
    }
    with (Path(stage.out) / NAME).open("ab") as file:
        file.write(json.dumps(entry).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(folder: str | Path) -> list[dict[str, Any]]:
    """The entries of a stage's manifest, oldest first; a torn last line is not one."""
    path = Path(folder) / NAME
    if not path.exists():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line]
