"""Checkpoints that were kept made models, and told of in the watch's own manifest."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.errors import ModelError
from evalkit.identity.fingerprint import fingerprint
from evalkit.identity.weights import parsed, size
from evalkit.training import manifest
from evalkit.watching import keeping
from evalkit.watching.finding import exporter
from evalkit.watching.keeping import Kept
from evalkit.watching.subject import Watch

LINEAGE = ("method", "args", "seed", "parent", "data", "reward", "backend_version")
"""What a run may tell of how its checkpoints came to be."""


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


def unchanged(watch: Watch, kept: Kept) -> None:
    """Raises ModelError where a trainer has written into files that a link shares with it."""
    model = watch.folder / kept.name
    known = keeping.registered(watch.folder)[kept.name]["identity"]
    if model.is_dir() and fingerprint(model) != known:
        raise ModelError(
            f"{kept.called(watch.run)} was overwritten by its trainer since it was kept: remove "
            f"{watch.folder / kept.name}.json to keep it as it is now"
        )
