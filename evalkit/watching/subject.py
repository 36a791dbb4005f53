"""What is watched, and what its checkpoints are held against: a config's baseline and parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.configuration.config import Loaded, load
from evalkit.configuration.resolve import resolve
from evalkit.configuration.sections import CheckpointSection
from evalkit.errors import ConfigError, did_you_mean
from evalkit.events import silent
from evalkit.matrix import Matrix, Row
from evalkit.series.baseline import named
from evalkit.training.pipeline import trained
from evalkit.watching import keeping
from evalkit.watching.keeping import Kept


@dataclass(frozen=True)
class Watch:
    """What is watched, and what its checkpoints are held against."""

    run: str  # how it is called in reports
    source: str  # the folder that is watched
    place: str  # the watch's own folder
    config: str
    results: str
    parent: str = ""  # the checkpoint it was trained from; "": the baseline

    @property
    def folder(self) -> Path:
        """The watch's own folder."""
        return Path(self.place)


def compared(watch: Watch) -> tuple[Matrix, Loaded]:
    """The config's matrix cut down to the baseline and the parent, with nothing to be trained.

    Raises ConfigError where the parent is no checkpoint of it, TrainingError where one that is
    needed has not been trained.
    """
    loaded, registered = named(load(Path(watch.config)), Path(watch.results))
    matrix = replace(resolve(loaded), registered=registered)
    names = [row.checkpoint.name for row in matrix.rows]
    if watch.parent and watch.parent not in names:
        hint = did_you_mean(watch.parent, names)
        raise ConfigError(f"--parent: {watch.config} has no checkpoint {watch.parent!r}{hint}")
    needed = {matrix.baseline, watch.parent or matrix.baseline}
    judges = {judge.checkpoint.name for judge in matrix.judges}
    stages = {stage.name for stage in matrix.stages} & (needed | judges)
    if stages:
        matrix = trained(matrix, Path(watch.results), silent, tuple(stages), make=False)
    rows = tuple(row for row in matrix.rows if row.checkpoint.name in needed)
    return replace(matrix, rows=rows, stages=(), recipes={}, runs={}, notes=()), loaded


def base(watch: Watch, matrix: Matrix) -> str:
    """The folder of the model that the run was trained from; empty where it is not here."""
    model = matrix.row(watch.parent or matrix.baseline).checkpoint.model
    return model if Path(model).is_dir() else ""


def rows_of(watch: Watch, matrix: Matrix, loaded: Loaded, kept: Sequence[Kept]) -> list[Row]:
    """A row for each checkpoint, asked as those of the config are that do not say how."""
    known = keeping.registered(watch.folder)
    sections = [
        CheckpointSection(
            name=each.called(watch.run),
            model=str(watch.folder / each.name),
            identity=known[each.name]["identity"],
            parent=watch.parent or matrix.baseline,
        )
        for each in kept
    ]
    config = loaded.config
    taken = {section.name for section in config.checkpoints} | {s.name for s in config.pipeline}
    for section in sections:
        if section.name in taken:
            raise ConfigError(f"{watch.config} has its own {section.name}: give another --name")
    whole = resolve(loaded.replaced(checkpoints=[*config.checkpoints, *sections]))
    rows = []
    for section, each in zip(sections, kept, strict=True):
        row = whole.row(section.name)
        method = str(known[each.name].get("method", ""))
        told = replace(row.checkpoint, method=method, stage=watch.run, step=each.step)
        rows.append(replace(row, checkpoint=told))
    return rows
