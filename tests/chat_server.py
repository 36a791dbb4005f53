"""A server on 127.0.0.1 that speaks the OpenAI protocol and misbehaves on request.

It answers from recordings (JSONL rows `{"prompt" | "sha256", "text", ...}`, the hash being that of
the last user message or of the completion's prompt), or repeats the prompt where it has none.
`python tests/chat_server.py --port 0 --recordings FILE --log FILE` prints its address and serves
until it is killed; `serving(...)` runs one in a thread.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any

from aiohttp import web

FAULTS = ("hang", "half", "truncated", "html", "no_choice", "abort", "disconnect")  # or a status


@dataclass
class ChatServer:
    """What to answer, how badly, and what was asked."""

    recordings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    answering: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None  # a row for a body
    latency: float = 0.0
    fault: str = ""  # one of FAULTS, or an HTTP status such as "429"
    first: int = 0  # how many requests suffer it
    each_prompt: bool = False  # counted for each prompt by itself
    retry_after: str = ""  # the header sent with a status; "date" is an HTTP date 2 s ahead
    log: str = ""  # one line per request is appended here
    key: str = ""  # the bearer token it wants
    base_url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    bodies: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=100))
    in_flight: int = 0
    peak: int = 0

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/completions", self.completion)
        app.router.add_get("/stats", self.stats)
        return app

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        users = [m["content"] for m in body["messages"] if m["role"] == "user"]
        return await self.answer(request, body, users[-1])

    async def completion(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return await self.answer(request, body, body["prompt"])

    async def stats(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"asked": self.asked, "answered": self.answered, "peak": self.peak,
             "requests": self.asked.total()}
        )  # fmt: skip

    async def answer(
        self, request: web.Request, body: dict[str, Any], prompt: str
    ) -> web.StreamResponse:
        """One request: counted, logged, delayed, and answered unless a fault is due."""
        digest = sha256(prompt)
        before = self.asked[digest] if self.each_prompt else self.asked.total()
        self.asked[digest] += 1
        self.bodies.append(body)
        self.write(digest, request.path)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(self.latency)
            if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
                given = request.headers.get("Authorization")
                return refusal(401, f"wrong key: {given}")
            if self.fault and before < self.first:
                return await self.misbehave(request)
            if self.recordings and digest not in self.recordings:
                return refusal(400, f"no recording for {digest}")
            row = self.recordings.get(digest, {"text": prompt})
            if self.answering:
                row = self.answering(body)
            if "status" in row:
                return refusal(row["status"], "a fault", self.retry_after)
            await asyncio.sleep(row.get("latency", 0.0))
            self.answered[digest] += 1
            return web.json_response(reply(body, prompt, row))
        finally:
            self.in_flight -= 1

    async def misbehave(self, request: web.Request) -> web.StreamResponse:
        """The fault."""
        whole = json.dumps({"choices": [{"message": {"content": "half an answer"}}]}).encode()
        if self.fault.isdigit():
            return refusal(int(self.fault), "a fault", self.retry_after)
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "truncated":
            return web.Response(body=whole[:-10], content_type="application/json")
        if self.fault == "html":
            return web.Response(text="<html>Bad Gateway</html>", content_type="text/html")
        if self.fault == "no_choice":
            return web.json_response({"choices": []})
        if self.fault == "abort":
            return web.json_response(
                {"choices": [{"message": {"content": "half"}, "finish_reason": "abort"}]}
            )
        if self.fault == "half":
            headers = {"Content-Type": "application/json", "Content-Length": str(len(whole))}
            stream = web.StreamResponse(headers=headers)
            await stream.prepare(request)
            await stream.write(whole[:20])
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    def write(self, digest: str, path: str) -> None:
        """Appends to the log in one call, so that no line is lost or torn when killed."""
        if self.log:
            file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(file, f"{digest} {path}\n".encode())
            os.close(file)


def reply(body: Mapping[str, Any], prompt: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A whole answer in the protocol's form; a token is a word with the space before it."""
    text = row.get("text")
    choice: dict[str, Any] = {"index": 0, "finish_reason": row.get("finish_reason", "stop")}
    if "messages" in body:
        extra = {k: row[k] for k in ("tool_calls", "reasoning_content", "reasoning") if k in row}
        choice["message"] = {"role": "assistant", "content": text, **extra}
        if "logprobs" in row:
            choice["logprobs"] = row["logprobs"]
    else:
        choice["text"] = text
        if body.get("echo"):
            choice["logprobs"] = logprobs([*words(prompt), " end"])
    counts = {"prompt_tokens": len(words(prompt)), "completion_tokens": len(words(text or ""))}
    return {"model": body["model"], "choices": [choice], "usage": row.get("usage", counts)}


def words(text: str) -> list[str]:
    """The tokens: a beginning-of-text mark, then words with the space before them."""
    return ["<s>", *(" " + word for word in text.split())]


def logprobs(tokens: list[str]) -> dict[str, Any]:
    """Log-likelihoods by the length of a word; words of three letters are the likeliest."""
    own = [None, *(-0.5 * abs(len(token) - 4) - 0.1 for token in tokens[1:])]
    top = [None, *({token: lp, " abc": -0.1} for token, lp in zip(tokens[1:], own[1:]))]  # noqa: B905
    return {"tokens": tokens, "token_logprobs": own, "top_logprobs": top}


def refusal(status: int, message: str, retry_after: str = "") -> web.Response:
    """An error in the protocol's form."""
    if retry_after == "date":
        retry_after = formatdate(time() + 2, usegmt=True)
    headers = {"Retry-After": retry_after} if retry_after else {}
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


def sha256(text: str) -> str:
    """What a prompt is known by."""
    return hashlib.sha256(text.encode()).hexdigest()


def recordings(path: str) -> dict[str, Mapping[str, Any]]:
    """The rows of a file by the hash of their prompt."""
    rows = map(json.loads, Path(path).read_text().splitlines())
    return {row.get("sha256") or sha256(row["prompt"]): row for row in rows}


@contextlib.contextmanager
def serving(server: ChatServer, port: int = 0) -> Iterator[ChatServer]:
    """The server in a thread of its own, gone when the block ends."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(server.app(), shutdown_timeout=0.1)
    started = threading.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start(runner, server, port))
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def start(runner: web.AppRunner, server: ChatServer, port: int) -> None:
    """Listens, and writes the address into the server."""
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"


def main() -> None:
    """Serves until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--recordings", default="")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--fault", default="", help=f"an HTTP status or one of {FAULTS}")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--each-prompt", action="store_true")
    parser.add_argument("--retry-after", default="")
    parser.add_argument("--log", default="")
    parser.add_argument("--key", default="")
    args = vars(parser.parse_args())
    port = args.pop("port")
    path = args.pop("recordings")
    server = ChatServer(recordings(path) if path else {}, **args)

    async def forever() -> None:
        await start(web.AppRunner(server.app()), server, port)
        os.write(1, f"{server.base_url}\n".encode())
        await asyncio.Event().wait()

    asyncio.run(forever())


if __name__ == "__main__":
    main()
