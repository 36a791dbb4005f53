"""Serving a checkpoint on this machine: by its engine's own server, or by ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evalkit.asking.pool import run
from evalkit.asking.starting import start
from evalkit.errors import ConfigError, ModelError
from evalkit.events import Notify
from evalkit.matrix import Row
from evalkit.types import Checkpoint, Model, Started

HOST = "127.0.0.1"


def serve(row: Row, results: Path, port: int, notify: Notify, ready: Callable[[str], None]) -> None:
    """Serves until interrupted; tells `ready` the URL.

    Raises ConfigError for what cannot be served, ModelError where it cannot be loaded or ends.
    """
    checkpoint, backend = row.checkpoint, row.backend
    if address := checkpoint.options.get("base_url"):
        raise ConfigError(f"{checkpoint.name} is behind a server already: {address}")
    if not backend.reads_prompt:
        raise ConfigError(
            f"{checkpoint.name}: {backend.name} answers by the sample's id: it cannot be served"
        )
    if "port" in backend.options:
        checkpoint = replace(checkpoint, options={**checkpoint.options, "port": port})
    run(_serve(replace(row, checkpoint=checkpoint), results, port, notify, ready))


async def _serve(
    row: Row, results: Path, port: int, notify: Notify, ready: Callable[[str], None]
) -> None:
    model = await asyncio.to_thread(row.backend.open, row.checkpoint)
    try:
        await start(model, row.checkpoint, results, notify)
        if isinstance(model, Started):
            ready(model.base_url)
            raise ModelError(f"{row.checkpoint.name}: its server ended: {await model.ended()}")
        await _by_ours(model, row.checkpoint, port, ready)
    finally:
        await model.close()


async def _by_ours(
    model: Model, checkpoint: Checkpoint, port: int, ready: Callable[[str], None]
) -> None:
    from aiohttp import web

    from evalkit.serving.server import Served

    runner = web.AppRunner(Served(model, checkpoint.name).app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ModelError(
            f"cannot serve on port {port}: {error.strerror}: give another --port"
        ) from None
    try:
        ready(f"http://{HOST}:{runner.addresses[0][1]}/v1")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
