"""A child process per checkpoint: the only sure way to have a device's memory given back.

<results>/logs/<checkpoint>.log   what the child, and the engine in it, printed
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson

from evalkit import errors
from evalkit.errors import EvalkitError, ModelError, StoreError
from evalkit.events import Asked, Note, Notify
from evalkit.executors.work import Work, written
from evalkit.processes.children import why
from evalkit.storage.store import safe

PATIENCE = 10.0
"""Seconds that a child has to end once it is told to."""


async def in_child(work: Work, results: Path, notify: Notify, variables: Mapping[str, str]) -> None:
    """Asks a checkpoint in a process of its own; nothing is started where nothing is missing.

    Raises ModelError where it cannot be asked or its process dies, which loses what was in flight.
    """
    if work.done:
        return
    log = results / "logs" / f"{safe(work.row.checkpoint.name)}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("wb")
    except OSError as error:
        raise StoreError(f"cannot write {log}: {error.strerror}; mend the folder") from None
    with output:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "evalkit.executors.child", str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            env={**os.environ, **variables},
        )
    try:
        told = await _follow(child, written(work), notify)
        code = await child.wait()
    finally:
        await _end(child)
    if told is not None:
        raise told
    if code:
        name = work.row.checkpoint.name
        raise ModelError(
            f"{name}: its process ended early: {why(log, code)}; what was answered is kept: "
            f"run again (its log is {log})"
        )


async def _follow(
    child: asyncio.subprocess.Process, work: bytes, notify: Notify
) -> EvalkitError | None:
    """Gives a child its work and passes on what it tells; the error that it ends with."""
    assert child.stdin
    assert child.stdout
    told = None
    try:
        child.stdin.write(work)
        await child.stdin.drain()
        child.stdin.close()
    except (BrokenPipeError, ConnectionResetError):  # it has died: its exit code tells
        pass
    async for line in child.stdout:
        said = orjson.loads(line)
        if "asked" in said:
            notify(Asked(**said["asked"]))
        elif "note" in said:
            notify(Note(said["note"]))
        else:
            told = getattr(errors, said["error"], EvalkitError)(said["message"])
    return told


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), PATIENCE)
    except TimeoutError:
        child.kill()
        await child.wait()
