"""Several answers to one prompt by one request: the epochs of a sample, which wait side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import orjson

from evalkit.types import Request, Response

LINGER = 0.005  # seconds for the other epochs of a sample to come


@dataclass(slots=True)
class _Group:
    """Requests that differ in their epoch and seed alone."""

    first: Request
    waiting: list[asyncio.Future[Response]] = field(default_factory=list)


class Together:
    """Gathers what can be answered by one request, at most `most` answers of it."""

    def __init__(self, most: int, ask: Callable[[Request, int], Awaitable[list[Response]]]) -> None:
        self.most = most
        self.ask = ask  # so many answers, or fewer but one at least; raises nothing
        self._groups: dict[bytes, _Group] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def generate(self, request: Request) -> Response:
        """One of the answers; a greedy one is asked for alone, since all would be the same."""
        if request.sampling.temperature == 0:
            return (await self.ask(request, 1))[0]
        key = orjson.dumps([request.task.name, request.sample.id, request.prompt])
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(request)
            task = asyncio.create_task(self._soon(key, group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        group.waiting.append(answer)
        if len(group.waiting) == self.most:
            del self._groups[key]  # what comes now is of the next request
        return await answer

    async def _soon(self, key: bytes, group: _Group) -> None:
        await asyncio.sleep(LINGER)
        if self._groups.get(key) is group:
            del self._groups[key]
        asked, waiting = group.first, group.waiting
        while waiting:
            found = await self.ask(asked, len(waiting))
            for each, response in zip(waiting, found, strict=False):
                if not each.done():
                    each.set_result(response)
            waiting = waiting[len(found) :]
            if asked.seed is not None:  # the same would only bring the same answers
                asked = replace(asked, seed=asked.seed + len(found))
