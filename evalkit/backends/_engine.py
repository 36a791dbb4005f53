"""A server that is a child process of ours: started, watched, and ended whatever happens."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evalkit.errors import EngineEnded, StoreError
from evalkit.processes import children, warden

POLL = 0.2  # seconds between two looks at a server that starts
CAUSE = re.compile(
    r"^(?:\([^)]*\) )?(?:ERROR [^\]]*\] )?"  # who says so, and where
    r"((?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception)\b: .*|.* died unexpectedly.*|\S+: error: .*)"
)
NO_CAUSE = ("Engine core initialization failed", "EngineDeadError")
DYING = 30.0  # seconds that a server which answers nobody has to end


class Engine:
    """The process, under a warden that outlives us for as long as it takes to end it."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], log: Path) -> None:
        self.command = command
        self.variables = variables
        self.log = log
        self.over = False  # it has ended, by itself or not
        self._code: int | None = None
        self._begins = 0  # where its part of the log begins
        self._warden: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self, ready: Callable[[], Awaitable[bool]], patience: float) -> None:
        """Starts it and waits until it is ready; raises EngineEnded where it does not get there."""
        await self._launch()
        deadline = time.monotonic() + patience
        while not await ready():
            if self.over:
                raise EngineEnded(f"it ended while it started: {self.why()}")
            if time.monotonic() > deadline:
                await self.end()
                raise EngineEnded(f"it was not ready after {patience:g} s")
            await asyncio.sleep(POLL)

    async def _launch(self) -> None:
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            output = self.log.open("ab")
        except OSError as error:
            raise StoreError(
                f"cannot write {self.log}: {error.strerror}; mend the folder"
            ) from None
        with output:
            self._begins = output.tell()
            self._warden = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", warden.__file__, *self.command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env={**os.environ, **self.variables},
                start_new_session=True,  # Ctrl-C is for us, who then end it
            )
        self._watch = asyncio.create_task(self._follow(self._warden))

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        told = [int(line) async for line in process.stdout]
        await process.wait()
        if len(told) > 1:
            self._code = told[1]
        elif told:  # the warden was killed: what it watched is ours to end
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(told[0], signal.SIGKILL)
        self.over = True

    async def end(self) -> None:
        """Ends it, and all processes of its own."""
        if self._warden is None or self._watch is None:
            return
        assert self._warden.stdin
        self._warden.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._watch), 2 * warden.GRACE)
        except TimeoutError:
            self._warden.kill()
            await self._watch

    async def wait(self, seconds: float | None = None) -> None:
        """Returns once it has ended, or so many seconds have passed."""
        if self._watch is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._watch), seconds)

    def why(self) -> str:
        """Why it ended, in a line: the first error in its log, else how its process ended."""
        if self._code is None:
            return "its warden was killed"
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(self._begins)
            for line in file.read().decode(errors="replace").splitlines():
                found = CAUSE.match(line)
                if found and not any(words in line for words in NO_CAUSE):
                    return " ".join(found[1].split())[:300]
        return children.why(self.log, self._code)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
