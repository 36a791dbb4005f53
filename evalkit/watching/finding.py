"""What a run has saved so far: each trainer looks for its own checkpoints, by its own rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evalkit import plugins
from evalkit.types import Saved, Trainer
from evalkit.watching import plain

JOB = "job"  # where a launched stage's framework writes, inside the stage's folder


@dataclass(frozen=True)
class Found:
    """A whole checkpoint, and the trainer whose layout it is in."""

    saved: Saved
    trainer: str


def found(folder: Path, settled: float) -> list[Found]:
    """The whole checkpoints of a run's folder, by step, the last one last.

    What has no last file must not have been written to for `settled` seconds.
    """
    steps: dict[tuple[bool, int], Found] = {}
    for each in sorted(_everything(folder, settled), key=lambda each: bool(each.saved.by_hand)):
        steps.setdefault((each.saved.final, each.saved.step), each)
    return [steps[key] for key in sorted(steps)]


def _everything(folder: Path, settled: float) -> Iterator[Found]:
    trainers: dict[str, Trainer] = plugins.all_plugins("trainers")
    for place in (folder, folder / JOB):
        if not place.is_dir():
            continue
        with suppress(OSError):  # removed while it was looked at: next time
            yield from (Found(saved, "") for saved in plain.listed(place))
        for trainer in trainers.values():
            if trainer.scan:
                with suppress(OSError):
                    yield from (Found(each, trainer.name) for each in trainer.scan(place, settled))
        with suppress(OSError):
            yield from (Found(saved, "") for saved in plain.scan(place, settled))


def logged(folder: Path) -> Iterator[tuple[int, Mapping[str, float]]]:
    """What was logged in a run's folder, step by step, by whichever trainer's reader knows it."""
    trainers: dict[str, Trainer] = plugins.all_plugins("trainers")
    for place in (folder, folder / JOB):
        for trainer in trainers.values():
            if trainer.logged and place.is_dir():
                yield from trainer.logged(place)


def exporter(name: str) -> Trainer:
    """The trainer of that name, which makes models of its checkpoints; "": of plain folders."""
    trainers: dict[str, Trainer] = plugins.all_plugins("trainers")
    able = [trainer for trainer in trainers.values() if trainer.export]
    return next((trainer for trainer in able if trainer.name == name), able[0])
