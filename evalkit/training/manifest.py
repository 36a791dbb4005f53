"""The run manifest: what a run has made, one line of JSON per checkpoint, only ever appended.

    {"event": "checkpoint", "run": "grpo", "step": 200, "path": "checkpoint-200", "format": "hf",
     "identity": "9f86…", "backend": "verl", "backend_version": "0.9.1", "method": "grpo",
     "parent": {"name": "sft", "identity": "60303a…"}, "data": [{"source": …, "sha256": …}], …}

A line is written after its checkpoint is whole on disk, so whoever reads it may use the files.
Whoever makes checkpoints writes the same lines: a trainer in process, a launched job,
`evalkit watch` and `evalkit add-checkpoint`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from evalkit.errors import ModelError, StoreError
from evalkit.identity.fingerprint import fingerprint
from evalkit.identity.weights import lacking, lacks_tokenizer, size
from evalkit.storage.journal import drop_torn_tail, dumps

NAME = "evalkit.jsonl"
CHECKPOINT = "checkpoint"


def append(folder: Path, entry: Mapping[str, Any]) -> None:
    """Adds a line and makes the disk keep it; half a line that a kill left behind is dropped.

    Raises StoreError when the disk does not take it.
    """
    path = folder / NAME
    try:
        drop_torn_tail(path)
        with path.open("ab") as file:
            file.write(dumps(dict(entry)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; make room, run again") from None


def read(folder: str | Path) -> list[dict[str, Any]]:
    """The entries of a manifest, oldest first; a torn last line is not one.

    Raises StoreError naming a line that is not an entry.
    """
    path = Path(folder) / NAME
    if not path.exists():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [_entry(path, at, line) for at, line in enumerate(whole.split(b"\n"), 1) if line]


def _entry(path: Path, number: int, line: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    raise StoreError(f"{path}:{number}: not an entry of a manifest; remove that line")


def checkpoints(folder: str | Path) -> Iterator[dict[str, Any]]:
    """The checkpoints of a run, oldest first."""
    for entry in read(folder):
        if entry.get("event") == CHECKPOINT and isinstance(entry.get("path"), str):
            yield entry


def adding(run: Path, path: Path, step: int, told: Mapping[str, Any]) -> dict[str, Any]:
    """Registers a model that was made elsewhere, and returns its entry.

    Raises ModelError where the folder is no whole model, StoreError where the step is another's.
    """
    reason = lacking(path) or ("there is no tokenizer" if lacks_tokenizer(path) else "")
    if reason:
        raise ModelError(f"{path} is no whole model: {reason}")
    identity = fingerprint(path)
    for entry in checkpoints(run):
        if entry.get("step") == step and entry.get("identity") != identity:
            raise StoreError(f"{run} has another checkpoint of step {step}: give another --step")
        if entry.get("step") == step:
            return entry
    run.mkdir(parents=True, exist_ok=True)
    entry = {
        "event": CHECKPOINT,
        "run": run.resolve().name,
        "step": step,
        "path": str(path.resolve()),
        "format": "hf",
        "identity": identity,
        "backend": "",
        **told,
        "train": {},
        "time": round(time.time(), 3),
        "bytes": size(path),
    }
    append(run, entry)
    return entry
