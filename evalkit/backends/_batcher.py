"""Batches out of requests that wait at the same time, sorted by length so that little is padded.

Callers wait for their own result.  Whatever is waiting when the device falls free is one pool: it
is sorted, cut into batches, and run one batch after the other in a single thread.  A batch that
lacks memory is halved, and no later one is as large again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P")
R = TypeVar("R")
LINGER = 0.001  # seconds for workers that were just answered to come back with their next request
LINGERS = 10


@dataclass(frozen=True, slots=True)
class _Job(Generic[P, R]):
    payload: P
    length: int
    result: asyncio.Future[R]


class Batcher(Generic[P, R]):
    """Runs `run` on batches of at most `size` payloads, in `thread`."""

    def __init__(
        self,
        run: Callable[[Sequence[P]], Sequence[R]],
        size: int,
        pool: int,
        thread: Executor,
        relieve: Callable[[], None] = lambda: None,
    ) -> None:
        self.run = run
        self.size = size
        self.pool = pool  # requests that can wait at once: no use waiting for more
        self.thread = thread
        self.relieve = relieve  # gives memory back that a batch which failed has left
        self.room = float("inf")  # what memory is known not to lack: payloads times the longest
        self._waiting: list[_Job[P, R]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, payload: P, length: int) -> R:
        """The payload's own result; raises what its batch raised when run alone."""
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Job(payload, length, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return await result

    async def close(self) -> None:
        """Ends the batch under way at once; those who still wait are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for job in self._waiting:
            job.result.cancel()

    async def _drain(self) -> None:
        while self._waiting:
            await self._fill()
            jobs, self._waiting = self._waiting, []
            jobs.sort(key=lambda job: job.length, reverse=True)  # what lacks memory fails first
            try:
                left = list(jobs)
                while left:
                    count = self._fitting(left[0].length)
                    batch, left = left[:count], left[count:]
                    await self._answer(batch)
            finally:  # none is left to wait for ever when this task is cancelled
                for job in jobs:
                    job.result.cancel()

    def _fitting(self, longest: int) -> int:
        """How many payloads, none longer than that, are run at once."""
        return int(max(1, min(self.size, self.room // max(longest, 1))))

    async def _fill(self) -> None:
        """Waits while requests keep coming, a few milliseconds at most."""
        for _ in range(LINGERS):
            before = len(self._waiting)
            await asyncio.sleep(LINGER)
            if len(self._waiting) in (before, self.pool):
                return

    async def _answer(self, jobs: Sequence[_Job[P, R]]) -> None:
        """Runs one batch; one that fails is halved until the payload at fault is alone."""
        jobs = [job for job in jobs if not job.result.done()]
        if not jobs:
            return
        loop = asyncio.get_running_loop()
        payloads = [job.payload for job in jobs]
        try:
            results = await loop.run_in_executor(self.thread, self.run, payloads)
        except Exception as error:
            if lacks_memory(error):
                self.room = min(self.room, len(jobs) * jobs[0].length / 2)
            if len(jobs) == 1:
                _settle(jobs[0].result, error)
                return
            results = None
        # Outside the handler, where the error no longer holds on to the batch's memory.
        if results is None:
            self.relieve()
            half = len(jobs) // 2
            await self._answer(jobs[:half])
            await self._answer(jobs[half:])
            return
        for job, result in zip(jobs, results, strict=True):
            if not job.result.done():
                job.result.set_result(result)


def lacks_memory(error: Exception) -> bool:
    """Whether an error says that there was no memory: torch has a type for GPUs alone."""
    words = str(error).lower()
    kinds = (type(error).__name__, "out of memory" in words, "can't allocate memory" in words)
    return isinstance(error, MemoryError) or "OutOfMemoryError" in kinds or any(kinds[1:])


def _settle(result: asyncio.Future[R], error: Exception) -> None:
    if not result.done():
        result.set_exception(error)
