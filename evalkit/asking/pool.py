"""A bounded number of jobs at once, over an iterator of any length."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from evalkit.errors import EvalkitError

T = TypeVar("T")


async def pool(jobs: Iterable[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Does every job, `workers` at a time; the first failure stops them all.

    The workers share one iterator, so memory does not grow with the number of jobs.
    """
    shared = iter(jobs)

    async def worker() -> None:
        for job in shared:
            await work(job)

    async with asyncio.TaskGroup() as group:
        for _ in range(max(1, workers)):
            group.create_task(worker())


def run(main: Awaitable[T]) -> T:
    """Runs a coroutine to its end; of several failures at once, the one a user can mend."""

    async def whole() -> T:
        return await main

    try:
        return asyncio.run(whole())
    except BaseExceptionGroup as group:
        raise _telling(group) from None


def _telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves: list[BaseException] = []
    queue: list[BaseException] = [group]
    while queue:
        error = queue.pop()
        if isinstance(error, BaseExceptionGroup):
            queue.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, EvalkitError)), leaves[0])
