"""What a stage's weights depend on: its key, and the lineage that the manifest tells."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from evalkit import plugins
from evalkit.exams import data
from evalkit.identity import identity
from evalkit.identity.fingerprint import fingerprint
from evalkit.training.run_folder import FINAL, finished
from evalkit.types import Stage, Trainer


def key(stage: Stage, parent_identity: str, trainer: Trainer) -> str:
    """The head of sha256 over all that a stage's weights depend on: 8 hexadecimal digits."""
    whole = identity.digest(
        [
            stage.method,
            parent_identity,
            [[content(source, stage), weight] for source, weight in stage.data.items()],
            content(stage.reward, stage) if stage.reward else "",
            dict(stage.args),
            stage.seed,
            _code(stage, trainer),
            [[name, _version(name)] for name in trainer.packages],
            *([dict(stage.lora)] if stage.lora else []),
            *([_files([stage.accelerate])] if stage.accelerate else []),
        ]
    )
    return whole.hex()[:8]


def _code(stage: Stage, trainer: Trainer) -> object:
    """What trains: a job of hours is not repeated because a line around it was changed."""
    if trainer.launched and trainer.environment:
        return [trainer.name, dict(trainer.environment(stage))]
    return _files(plugins.source_files(trainer.run.__module__))


def lineage(stage: Stage, parent_identity: str) -> dict[str, Any]:
    """What a stage is trained from, by name and by content: what the manifest says of it."""
    reward = {"name": stage.reward, "sha256": content(stage.reward, stage)} if stage.reward else {}
    return {
        "parent": {"name": stage.lineage.get("parent", ""), "identity": parent_identity},
        "data": [
            {"source": source, "weight": weight, "sha256": content(source, stage)}
            for source, weight in stage.data.items()
        ],
        "reward": reward,
        "args": dict(stage.args),
        **({"lora": dict(stage.lora)} if stage.lora else {}),
        "seed": stage.seed,
    }


def content(source: str, stage: Stage) -> str:
    """What a data source or a reward of the stage is, by content."""
    kind, _, name = source.partition(":")
    if kind == "task":
        task = plugins.task(name)
        code = _files(plugins.source_files(task.samples.__module__))
        given = stage.paths.get(name)
        rows = data.digest(task.source, Path(given) if given else None) if task.source else ""
        return f"{code} {rows}".strip()
    if kind == "model":
        known = finished(Path(name).parent) if Path(name).name == FINAL else None
        return known[1] if known else fingerprint(Path(name))
    path, _, function = source.partition(".py:")
    return _files([f"{path}.py" if function else path]) + function


def file_content(path: Path) -> str:
    """What a file of data is, by content, as `content` tells it."""
    return _files([str(path)])


def _files(paths: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        seen = os.stat(path)
        stamp = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        whole.update(_sha256(str(path), stamp))
    return whole.hexdigest()


@lru_cache(maxsize=1024)
def _sha256(path: str, _stamp: tuple[int, ...]) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
