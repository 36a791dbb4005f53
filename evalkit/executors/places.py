"""The executors there are, and which one a work goes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from evalkit.asking.pool import pool, run
from evalkit.errors import ModelError
from evalkit.events import Note, Notify
from evalkit.executors.launch import in_child
from evalkit.executors.work import Work
from evalkit.matrix import Execution

Here = Callable[[Work], None]
"""Asks a checkpoint in this process; raises ModelError where it cannot be asked."""


def execute(
    execution: Execution, todo: Sequence[Work], results: Path, notify: Notify, here: Here
) -> list[str]:
    """Has every checkpoint asked what is missing; which could not be asked, in words."""
    failures: list[str] = []

    def failed(error: ModelError) -> None:
        failures.append(str(error))
        notify(Note(f"error: {error}"))

    if execution.name == "devices":
        run(_on_devices(execution, todo, results, notify, failed))
        return failures
    with _sharing(todo):
        for work in todo:
            try:
                if execution.name == "child" or (not execution.name and _holds_device(work)):
                    run(in_child(work, results, notify, {}))
                else:
                    here(work)
            except ModelError as error:
                failed(error)
    return failures


@contextmanager
def _sharing(todo: Sequence[Work]) -> Iterator[None]:
    """What checkpoints have in common stays in this process from one to the next, and no longer."""
    backends = {work.row.backend.name: work.row.backend for work in todo}
    with ExitStack() as stack:
        for backend in backends.values():
            if backend.sharing is not None:
                stack.enter_context(backend.sharing())
        yield


def _holds_device(work: Work) -> bool:
    """Whether asking in this process would keep a device's memory until it ends."""
    backend = work.row.backend
    return backend.holds_device is not None and backend.holds_device(work.row.checkpoint)


async def _on_devices(
    execution: Execution,
    todo: Sequence[Work],
    results: Path,
    notify: Notify,
    failed: Callable[[ModelError], None],
) -> None:
    """Several children side by side, each with a device to itself."""
    free: asyncio.Queue[str] = asyncio.Queue()
    for device in execution.devices:
        free.put_nowait(device)

    async def one(work: Work) -> None:
        device = await free.get()
        try:
            await in_child(work, results, notify, {execution.variable: device})
        except ModelError as error:
            failed(error)
        finally:
            free.put_nowait(device)

    await pool(todo, one, len(execution.devices))
