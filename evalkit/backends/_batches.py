"""OpenAI's Batch API: requests by the file, at half the price, answered within a day.

Whatever waits is put into one file.  What a batch was asked is noted under
~/.cache/evalkit/batches until its answers have been handed over, so that a run that is stopped
while it waits goes on waiting for the same batch when it is run again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from evalkit.backends._http import Form, Http
from evalkit.backends._retry import Failure
from evalkit.storage.files import write_beside

T = TypeVar("T")
OVER = ("completed", "failed", "expired", "cancelled")
LINGER = 1.0  # seconds without another request: all that is to come has come
LARGEST = 100 * 2**20  # bytes of a file, half of what OpenAI takes


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that waits for its batch."""

    path: str
    line: bytes
    answer: asyncio.Future[dict[str, Any]]


class Batches:
    """Asks by batch, in place of `Http`; at most `size` requests in one."""

    def __init__(self, http: Http, size: int, poll: float, folder: Path) -> None:
        self.http = http
        self.size = size
        self.poll = poll  # seconds between two looks at a batch
        self.folder = folder
        self._seen: Counter[str] = Counter()
        self._waiting: dict[str, _Asked] = {}
        self._gathering: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def post(
        self, path: str, body: Mapping[str, Any], read: Callable[[dict[str, Any]], T]
    ) -> T:
        """What `read` makes of the answer; raises Failure where the batch brings none."""
        try:
            whole = orjson.dumps([path, body])
        except TypeError as error:  # a lone surrogate, say
            raise Failure(f"cannot be sent as JSON: {error}", again=False) from None
        key = self._key(whole)
        line = {"custom_id": key, "method": "POST", "url": f"/v1/{path}", "body": body}
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[key] = _Asked(path, orjson.dumps(line), answer)
        if self._gathering is None or self._gathering.done():
            self._gathering = self._task(self._gather())
        return read(await answer)

    async def close(self) -> None:
        """Waits no longer; the batches under way stay, and are noted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _key(self, whole: bytes) -> str:
        """By content; of equal requests, each has its own."""
        digest = hashlib.sha256(whole).hexdigest()[:32]
        self._seen[digest] += 1
        return f"{digest}-{self._seen[digest]}"

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _gather(self) -> None:
        """Waits until no more requests come, then has them answered."""
        before = -1
        while before < len(self._waiting) < self.size:
            before = len(self._waiting)
            await asyncio.sleep(LINGER)
        asked, self._waiting = self._waiting, {}
        for batch, keys in self._known():
            mine = {key: asked.pop(key) for key in keys if key in asked}
            if mine:
                self._task(_answering(mine, self._collect(batch, mine)))
        for part in _parts(asked):
            self._task(_answering(part, self._start(part)))

    def _known(self) -> Iterable[tuple[str, list[str]]]:
        """The batches of earlier runs that were not waited for, and what they were asked."""
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError):
                noted = json.loads(path.read_bytes())
                yield str(noted["batch"]), list(noted["keys"])

    async def _start(self, asked: dict[str, _Asked]) -> None:
        content = b"".join(each.line + b"\n" for each in asked.values())
        path = next(iter(asked.values())).path
        try:
            form: Form = {"purpose": ("batch", ""), "file": (content, "requests.jsonl")}
            file = orjson.loads(await self.http.fetch("POST", "files", form))["id"]
            wanted = {
                "input_file_id": file, "endpoint": f"/v1/{path}", "completion_window": "24h",
            }  # fmt: skip
            batch = await self.http.post("batches", wanted, lambda answer: str(answer["id"]))
        except (Failure, KeyError, TypeError, ValueError) as error:
            _fail(asked.values(), f"no batch was begun: {error}")
            return
        note = {"batch": batch, "keys": list(asked)}
        write_beside(self._note(batch), json.dumps(note).encode())
        await self._collect(batch, asked)

    async def _collect(self, batch: str, asked: dict[str, _Asked]) -> None:
        """Waits for a batch and hands its answers over."""
        contents: list[bytes] = []
        status, failure = "", ""
        try:
            told = await self._look(batch)
            while (status := str(told.get("status"))) not in OVER:
                await asyncio.sleep(self.poll)
                told = await self._look(batch)
            for kind in ("output_file_id", "error_file_id"):
                if told.get(kind):
                    contents.append(await self.http.fetch("GET", f"files/{told[kind]}/content"))
        except (Failure, ValueError) as error:
            failure = f"batch {batch}: {error}"
        # Nothing is awaited from here on: whoever has all of its answers may close this at once.
        for content in contents:
            _hand_over(content, asked)
        _fail(asked.values(), failure or f"batch {batch} is {status} and has no answer to this")
        if not failure:
            self._note(batch).unlink(missing_ok=True)

    async def _look(self, batch: str) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(await self.http.fetch("GET", f"batches/{batch}"))
        return found

    def _note(self, batch: str) -> Path:
        return self.folder / f"{hashlib.sha256(batch.encode()).hexdigest()[:16]}.json"


async def _answering(asked: dict[str, _Asked], work: Coroutine[Any, Any, None]) -> None:
    """Does the work, after which nobody waits any longer, whatever came of it."""
    try:
        await work
    finally:
        _fail(asked.values(), "its batch was given up")


def _parts(asked: Mapping[str, _Asked]) -> Iterable[dict[str, _Asked]]:
    """Requests of one path, so many as a file takes."""
    for path in sorted({each.path for each in asked.values()}):
        part: dict[str, _Asked] = {}
        taken = 0
        for key, each in asked.items():
            if each.path != path:
                continue
            if part and taken + len(each.line) > LARGEST:
                yield part
                part, taken = {}, 0
            part[key] = each
            taken += len(each.line)
        yield part


def _hand_over(content: bytes, asked: Mapping[str, _Asked]) -> None:
    """Gives every request its line of a batch's file; a line that cannot be read is nobody's."""
    for line in content.splitlines():
        with suppress(orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            told = orjson.loads(line)
            waits = asked.get(told["custom_id"])
            if waits is None or waits.answer.done():
                continue
            reply = told.get("response") or {}
            if reply.get("status_code") == 200 and isinstance(reply.get("body"), dict):
                waits.answer.set_result(reply["body"])
            else:
                why = told.get("error") or (reply.get("body") or {}).get("error") or "no reason"
                words = why.get("message", why) if isinstance(why, dict) else why
                status = reply.get("status_code", "no status")
                waits.answer.set_exception(Failure(f"HTTP {status} in a batch: {words}"))


def _fail(asked: Iterable[_Asked], words: str) -> None:
    for each in asked:
        if not each.answer.done():
            each.answer.set_exception(Failure(words))
