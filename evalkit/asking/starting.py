"""Models whose engine is a process of its own: it is started once they are open."""

from __future__ import annotations

from pathlib import Path

from evalkit.events import Notify
from evalkit.storage.store import safe
from evalkit.types import Checkpoint, Model, Started


async def start(model: Model, checkpoint: Checkpoint, results: Path, notify: Notify) -> None:
    """Starts a model that has to be; raises ModelError where it does not start.

    Its engine prints into RESULTS/logs/<checkpoint>.engine.log.
    """
    if isinstance(model, Started):
        await model.start(notify, results / "logs" / f"{safe(checkpoint.name)}.engine.log")
