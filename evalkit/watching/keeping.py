"""Checkpoints kept from rotation, and what is known of each, in the folder of a watch.

<results>/watched/<run>-<key8>/
    step-200.json   where it was found and what it is; there only once all of it is kept
    step-200/       the model: hard links where the file system allows
    step-200.kept/  the files of one that has to be exported first
    evalkit.jsonl   the manifest; an entry `evaluated` once all its answers are in
    metrics.jsonl   what the training logged
    report/         of all that was evaluated so far
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import StoreError
from evalkit.identity.weights import lacking
from evalkit.storage.files import gather, made_whole, write_beside
from evalkit.storage.store import safe
from evalkit.training import manifest
from evalkit.types import Saved
from evalkit.watching.finding import Found

EVALUATED = "evaluated"
FOLDER = "watched"


@dataclass(frozen=True)
class Kept:
    """A checkpoint that rotation cannot take away any more."""

    step: int
    final: bool
    format: str
    trainer: str  # whose layout it was in
    source: str  # where it was found
    train: Mapping[str, float] = field(default_factory=dict)
    base: str = ""  # the folder of the model that it was trained from, by its own account

    @property
    def name(self) -> str:
        """What its folder is called."""
        return "final" if self.final else f"step-{self.step}"

    def called(self, run: str) -> str:
        """What it is called in reports."""
        return run if self.final else f"{run}@{self.step}"


def folder(results: Path, run: Path, name: str) -> Path:
    """The folder of a watch: one for each folder that is watched, wherever it lies."""
    key = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:8]
    return results / FOLDER / f"{safe(name)}-{key}"


def keep(found: Found, place: Path) -> Kept | None:
    """Keeps a checkpoint; None where it was rotated away before all of it was kept."""
    saved = found.saved
    kept = Kept(
        saved.step, saved.final, saved.format, found.trainer, saved.path, saved.train, saved.base
    )  # fmt: skip
    target = place / (kept.name if saved.format == "hf" else f"{kept.name}.kept")
    try:
        shutil.rmtree(target, ignore_errors=True)
        with made_whole(target) as beside:
            gather(saved.files, beside)
            if saved.format == "hf" and lacking(beside):
                raise FileNotFoundError
    except FileNotFoundError:
        return None
    write_beside(place / f"{kept.name}.json", json.dumps(asdict(kept), indent=1).encode())
    return kept


def everything(place: Path) -> list[Kept]:
    """What is kept, by step, the last one last; raises StoreError on a damaged note."""
    notes = [*place.glob("step-*.json"), *place.glob("final.json")]
    found = [_read(path) for path in notes]
    return sorted(found, key=lambda kept: (kept.final, kept.step))


def _read(path: Path) -> Kept:
    try:
        return Kept(**json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        raise StoreError(f"{path}: not a note of a watch; remove it to keep it anew") from None


def parts(kept: Kept, place: Path) -> Saved:
    """A checkpoint that has to be exported, as its trainer would find it where it is kept."""
    inside = place / f"{kept.name}.kept"
    names = {str(path.relative_to(inside)): str(path) for path in _files(inside)}
    return Saved(
        kept.step, kept.source, kept.format, names, kept.train, kept.final, kept.base
    )  # fmt: skip


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def evaluated(place: Path) -> dict[str, dict[str, Any]]:
    """The entries of what was evaluated, by the name of its folder."""
    entries = manifest.read(place)
    return {entry["path"]: entry for entry in entries if entry.get("event") == EVALUATED}


def registered(place: Path) -> dict[str, dict[str, Any]]:
    """The entries of the checkpoints, by the name of their folder."""
    return {entry["path"]: entry for entry in manifest.checkpoints(place)}


def release(kept: Kept, place: Path) -> None:
    """Lets go of a checkpoint's files; its answers and its identity stay."""
    for name in (kept.name, f"{kept.name}.kept"):
        shutil.rmtree(place / name, ignore_errors=True)
