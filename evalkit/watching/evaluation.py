"""One kept checkpoint evaluated, in a process of its own: the child of a watch.

It makes a model of the checkpoint if it is not one yet, says in the manifest what it is, asks
what has not been asked, and reports on everything that the watch has evaluated so far.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalkit import manifest, plugins
from evalkit import report as reporting
from evalkit.children import die_with
from evalkit.config import CheckpointSection, Loaded, load
from evalkit.errors import ConfigError, EvalkitError, ModelError, did_you_mean
from evalkit.events import silent
from evalkit.fingerprint import fingerprint
from evalkit.matrix import Matrix, Row
from evalkit.pipeline import trained
from evalkit.progress import progress
from evalkit.resolve import resolve
from evalkit.run import Held, hold
from evalkit.series.baseline import named
from evalkit.types import Stage
from evalkit.verdict import Renderer, Report
from evalkit.watching import keeping
from evalkit.watching.finding import exporter, logged
from evalkit.watching.keeping import EVALUATED, Kept
from evalkit.weights import parsed, size

LINEAGE = ("method", "args", "seed", "parent", "data", "reward", "backend_version")
"""What a run may tell of how its checkpoints came to be."""


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
    judge = {matrix.judge.checkpoint.name} if matrix.judge else set()
    stages = {stage.name for stage in matrix.stages} & (needed | judge)
    if stages:
        matrix = trained(matrix, Path(watch.results), silent, tuple(stages), make=False)
    rows = tuple(row for row in matrix.rows if row.checkpoint.name in needed)
    return replace(matrix, rows=rows, stages=(), recipes={}, runs={}, notes=()), loaded


def base(watch: Watch, matrix: Matrix) -> str:
    """The folder of the model that the run was trained from; empty where it is not here."""
    model = matrix.row(watch.parent or matrix.baseline).checkpoint.model
    return model if Path(model).is_dir() else ""


def _rows(watch: Watch, matrix: Matrix, loaded: Loaded, kept: Sequence[Kept]) -> list[Row]:
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


def register(watch: Watch, kept: Kept, parent: str) -> None:
    """Makes a model of a checkpoint and says in the manifest what it is, unless that was done.

    `parent` is the folder of the model that it was trained from.
    """
    place, model = watch.folder, watch.folder / kept.name
    if kept.name in keeping.registered(place):
        return
    if kept.format != "hf" and not model.is_dir():
        export = exporter(kept.trainer).export
        assert export is not None
        own = kept.base if Path(kept.base or "?").is_dir() else parent
        export(replace(keeping.parts(kept, place), base=own), model)
        shutil.rmtree(place / f"{kept.name}.kept", ignore_errors=True)
    entry = {
        "event": manifest.CHECKPOINT,
        "run": watch.run,
        "step": kept.step,
        "path": kept.name,
        "format": "hf",
        "identity": fingerprint(model),
        "source": kept.source,
        "backend": kept.trainer,
        **_told(watch, kept),
        "train": dict(kept.train),
        "time": round(time.time(), 3),
        "bytes": size(model),
    }
    manifest.append(place, entry)


def _told(watch: Watch, kept: Kept) -> dict[str, Any]:
    """What the run itself tells of how it was trained: by its manifest, or the stage it is."""
    source = Path(watch.source)
    for entry in manifest.checkpoints(source):
        if entry.get("step") == kept.step and (entry["path"] == "final") == kept.final:
            known = {name: entry[name] for name in LINEAGE if name in entry}
            return {**known, **({"backend": entry["backend"]} if entry.get("backend") else {})}
    stage = parsed(source / "stage.json")
    lineage = stage.get("lineage") or {"parent": {"name": watch.parent}}
    return {**{name: stage[name] for name in LINEAGE if name in stage}, **lineage}


def evaluate(watch: Watch, name: str) -> int:
    """Evaluates one kept checkpoint; returns 0 where everything was measured, else 4."""
    matrix, loaded = compared(watch)
    kept = next(each for each in keeping.everything(watch.folder) if each.name == name)
    register(watch, kept, base(watch, matrix))
    _unchanged(watch, kept)
    done = keeping.evaluated(watch.folder)
    shown = [e for e in keeping.everything(watch.folder) if e.name in done or e.name == name]
    rows = (*matrix.rows, *_rows(watch, matrix, loaded, shown))
    with progress() as notify:
        held = hold(replace(matrix, rows=rows), Path(watch.results), notify)
    _keep_curves(watch)
    found = reporting.of_run(_with_curves(held, watch))
    reporting.write(found, watch.folder / "report", matrix.reports)
    called = kept.called(watch.run)
    sys.stdout.write(_rendered(_only(found, called)))
    measured = all(row.score is not None for row in found.scores if row.checkpoint == called)
    if not measured or held.failures:
        return ModelError.exit_code
    verdict = next((each.verdict for each in found.candidates if each.name == called), "")
    entry = {"event": EVALUATED, "path": name, "step": kept.step, "verdict": verdict}
    manifest.append(watch.folder, {**entry, "time": round(time.time(), 3)})
    return 0


def _unchanged(watch: Watch, kept: Kept) -> None:
    """Raises ModelError where a trainer has written into files that a link shares with it."""
    model = watch.folder / kept.name
    known = keeping.registered(watch.folder)[kept.name]["identity"]
    if model.is_dir() and fingerprint(model) != known:
        raise ModelError(
            f"{kept.called(watch.run)} was overwritten by its trainer since it was kept: remove "
            f"{watch.folder / kept.name}.json to keep it as it is now"
        )


def _keep_curves(watch: Watch) -> None:
    """What the training has logged, taken over or read from its own logs."""
    from evalkit import curves

    own = Path(watch.source) / curves.NAME
    if own.exists():
        shutil.copyfile(own, watch.folder / curves.NAME)
        return
    (watch.folder / curves.NAME).unlink(missing_ok=True)
    for step, values in logged(Path(watch.source)):
        curves.append(watch.folder, step, values)


def _with_curves(held: Held, watch: Watch) -> Held:
    stages = (Stage(watch.run, "", ""),)
    return replace(held, matrix=replace(held.matrix, stages=stages, runs={watch.run: watch.folder}))


def _only(report: Report, name: str) -> Report:
    """The report cut down to one candidate."""
    kept = [each for each in report.candidates if each.name == name]
    wanted = {name, *(each.against for each in kept)}
    return report.model_copy(
        update={
            "candidates": kept,
            "scores": [row for row in report.scores if row.checkpoint in wanted],
            "checkpoints": [note for note in report.checkpoints if note.name in wanted],
            "training": [],
        }
    )


def _rendered(report: Report) -> str:
    renderer = plugins.find("reports", "terminal")
    assert isinstance(renderer, Renderer)
    return renderer.render(report)


def command(watch: Watch, name: str) -> list[str]:
    """The process that evaluates a kept checkpoint."""
    spec = json.dumps(asdict(watch))
    module = "evalkit.watching.evaluation"
    return [sys.executable, "-m", module, spec, name, str(os.getpid())]


def main() -> None:
    """The child of a watch."""
    die_with(int(sys.argv[3]))
    try:
        sys.exit(evaluate(Watch(**json.loads(sys.argv[1])), sys.argv[2]))
    except EvalkitError as error:
        sys.stderr.write(f"evalkit: {' '.join(str(error).split())}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
