"""What the folder of a training run holds: the checkpoint it was for, and those on the way.

final/        the checkpoint
done.json     its identity; there only once all of it is
kept.json     identities of checkpoints on the way that were asked, should they be removed
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from evalkit.errors import TrainingError
from evalkit.identity import identity
from evalkit.identity.fingerprint import fingerprint
from evalkit.identity.weights import is_adapter, parsed
from evalkit.storage.files import write_beside
from evalkit.training import manifest

FINAL, DONE, KEPT = "final", "done.json", "kept.json"

Made: TypeAlias = tuple[Path, str]
"""A checkpoint's folder and its identity."""


@dataclass(frozen=True)
class OnTheWay:
    """A checkpoint that a training saved before its last."""

    step: int
    folder: Path


def finished(run: Path) -> Made | None:
    """The run's checkpoint, if it has been made.

    What is there now counts, if it was overwritten since; what is gone keeps its identity.
    """
    final = run / FINAL
    try:
        known = str(json.loads((run / DONE).read_bytes())["identity"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise TrainingError(f"{run / DONE} cannot be read: remove it to train again") from None
    return final, fingerprint(final) if final.is_dir() else known


def steps(run: Path) -> int | None:
    """How many steps the run's checkpoint was trained for; None where that is not known."""
    found = [entry["step"] for entry in manifest.checkpoints(run) if entry["path"] == FINAL]
    return int(found[-1]) if found else None


def on_the_way(run: Path) -> list[OnTheWay]:
    """The checkpoints that were saved before the last, by step, those since removed included."""
    last = steps(run)
    found = {
        int(entry["step"]): run / str(entry["path"])
        for entry in manifest.checkpoints(run)
        if entry["path"] != FINAL and (last is None or entry["step"] < last)
    }
    return [OnTheWay(step, found[step]) for step in sorted(found)]


def reached(run: Path) -> int:
    """The step of the last checkpoint that a training which died has left; 0: it left none."""
    return max((each.step for each in on_the_way(run) if each.folder.is_dir()), default=0)


def identify(run: Path, saved: OnTheWay, base: str) -> str:
    """What a checkpoint on the way is; `base` is what an adapter was trained on.

    Raises TrainingError for one that was removed before it was asked.
    """
    kept, name = parsed(run / KEPT), str(saved.step)
    if not saved.folder.is_dir():
        if name not in kept:
            raise TrainingError(f"{saved.folder} was removed before it could be evaluated")
        return str(kept[name])
    found = fingerprint(saved.folder)
    if is_adapter(saved.folder):
        found = identity.digest([found, base]).hex()
    if kept.get(name) != found:
        write_beside(run / KEPT, json.dumps({**kept, name: found}).encode())
    return found
