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
import ssl
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from time import monotonic, time
from typing import Any

from aiohttp import web

FAULTS = ("hang", "drip", "half", "truncated", "html", "no_choice", "abort", "disconnect")
"""How it may behave; a number is an HTTP status."""
WHOLE = b'{"choices": [{"message": {"content": "half an answer"}}]}'
BAD = {
    "truncated": (WHOLE[:-10], "application/json"),
    "html": (b"<html>Bad Gateway</html>", "text/html"),
    "no_choice": (b'{"choices": []}', "application/json"),
    "abort": (WHOLE.replace(b"}]", b', "finish_reason": "abort"}]'), "application/json"),
}


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
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)  # how often each was looked at
    looks: int = 2  # after so many a batch is completed
    tokenizes: bool = False  # whether it has /tokenize
    choices: int = 99  # how many it gives at most
    times: list[float] = field(default_factory=list)  # when requests came
    tls: ssl.SSLContext | None = None  # https, by this certificate
    clients: set[int] = field(default_factory=set)  # ports of connections that asked
    in_flight: int = 0
    peak: int = 0

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/completions", self.completion)
        app.router.add_get("/stats", self.stats)
        if self.tokenizes:
            app.router.add_post("/tokenize", self.tokenize)
            app.router.add_post("/detokenize", self.detokenize)
        app.router.add_post("/v1/files", self.file)
        app.router.add_get("/v1/files/{name}/content", self.content)
        app.router.add_post("/v1/batches", self.begin)
        app.router.add_get("/v1/batches/{name}", self.look)
        return app

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        users = [m["content"] for m in body["messages"] if m["role"] == "user"]
        return await self.answer(request, body, users[-1])

    async def completion(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body["prompt"]
        if not isinstance(prompt, str):  # in tokens; the likelihoods are of its words
            prompt = "".join(map(chr, prompt))
        return await self.answer(request, body, prompt)

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
        self.times.append(monotonic())
        if request.transport is not None:  # it may be gone
            self.clients.add(request.transport.get_extra_info("peername")[1])
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
            whole = reply(body, prompt, row)
            wanted = min(body.get("n") or 1, self.choices)
            if wanted > 1:
                seeds = [f" {body.get('seed')}.{number}" for number in range(wanted)]
                whole["choices"] = [many(whole["choices"][0], at, s) for at, s in enumerate(seeds)]
            return web.json_response(whole)
        finally:
            self.in_flight -= 1

    async def misbehave(self, request: web.Request) -> web.StreamResponse:
        """The fault."""
        if self.fault.isdigit():
            return refusal(int(self.fault), "a fault", self.retry_after)
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "drip":
            return await drip(request)
        if self.fault in BAD:
            return web.Response(body=BAD[self.fault][0], content_type=BAD[self.fault][1])
        if self.fault == "half":
            await half(request)
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def tokenize(self, request: web.Request) -> web.Response:
        """As vLLM's: here a token is a letter, and a template writes turns one after another."""
        body = await request.json()
        turns = body.get("messages", ())
        text = body.get("prompt", "".join(f"<{turn['role']}>{turn['content']}" for turn in turns))
        text += "<assistant>" if body.get("add_generation_prompt") else ""
        return web.json_response({"tokens": [ord(letter) for letter in text]})

    async def detokenize(self, request: web.Request) -> web.Response:
        tokens = (await request.json())["tokens"]
        return web.json_response({"prompt": "".join(map(chr, tokens))})

    async def file(self, request: web.Request) -> web.Response:
        """A file for a batch."""
        fields = await request.post()
        assert fields["purpose"] == "batch"
        upload = fields["file"]
        assert isinstance(upload, web.FileField)
        name = f"file-{len(self.files)}"
        self.files[name] = upload.file.read()
        return web.json_response({"id": name})

    async def content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.match_info["name"]])

    async def begin(self, request: web.Request) -> web.Response:
        """A batch, answered at once and told when it has been looked at often enough."""
        body = await request.json()
        name = f"batch-{len(self.batches)}"
        replies = [self.batched(json.loads(line), body["endpoint"]) for line in
                   self.files[body["input_file_id"]].splitlines()]  # fmt: skip
        good = [each for each in replies if each["response"]["status_code"] == 200]
        bad = [each for each in replies if each not in good]
        for kind, rows in (("output", good[::-1]), ("error", bad)):  # in no order
            self.files[f"{name}-{kind}"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
        self.batches[name] = 0
        return web.json_response({"id": name, "status": "validating"})

    async def look(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.batches[name] += 1
        told = {"id": name, "status": "in_progress"}
        if self.batches[name] > self.looks:
            told = {"id": name, "status": "completed", "output_file_id": f"{name}-output",
                    "error_file_id": f"{name}-error"}  # fmt: skip
        return web.json_response(told)

    def batched(self, line: dict[str, Any], endpoint: str) -> dict[str, Any]:
        assert line["url"] == endpoint
        prompt = line["body"]["messages"][-1]["content"]
        self.asked[sha256(prompt)] += 1
        bad = prompt.startswith("bad")
        row = self.answering(line["body"]) if self.answering else {"text": prompt}
        body = {"error": {"message": "a bad prompt"}} if bad else reply(line["body"], prompt, row)
        return {"custom_id": line["custom_id"],
                "response": {"status_code": 400 if bad else 200, "body": body}}  # fmt: skip

    def write(self, digest: str, path: str) -> None:
        """Appends to the log in one call, so that no line is lost or torn when killed."""
        if self.log:
            file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(file, f"{digest} {path}\n".encode())
            os.close(file)


def reply(body: Mapping[str, Any], prompt: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A whole answer in the protocol's form; a token is a word with the space before it."""
    text = row.get("text")
    given = body.get("prompt")
    read = [*map(chr, given)] if isinstance(given, list) else words(prompt)
    choice: dict[str, Any] = {"index": 0, "finish_reason": row.get("finish_reason", "stop")}
    if "messages" in body:
        extra = {k: row[k] for k in ("tool_calls", "reasoning_content", "reasoning") if k in row}
        choice["message"] = {"role": "assistant", "content": text, **extra}
        if "logprobs" in row:
            choice["logprobs"] = row["logprobs"]
    else:
        choice["text"] = text
        if body.get("echo"):
            choice["logprobs"] = logprobs([*read, " end"])
    counts = {"prompt_tokens": len(read), "completion_tokens": len(words(text or ""))}
    return {"model": body["model"], "choices": [choice], "usage": row.get("usage", counts)}


def many(choice: dict[str, Any], index: int, mark: str) -> dict[str, Any]:
    """One of several choices, which say by what they were drawn."""
    message = {**choice["message"], "content": choice["message"]["content"] + mark}
    return {**choice, "index": index, "message": message}


async def half(request: web.Request) -> None:
    """The first bytes of an answer."""
    headers = {"Content-Type": "application/json", "Content-Length": str(len(WHOLE))}
    stream = web.StreamResponse(headers=headers)
    await stream.prepare(request)
    await stream.write(WHOLE[:20])


async def drip(request: web.Request) -> web.StreamResponse:
    """An answer that comes byte by byte, and never ends."""
    stream = web.StreamResponse(headers={"Content-Type": "application/json"})
    await stream.prepare(request)
    for byte in WHOLE[:-1] + b" " * 10_000:
        await stream.write(bytes([byte]))
        await asyncio.sleep(0.02)
    return stream


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
        loop.run_until_complete(asyncio.sleep(0))  # connections are let go of one turn later
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
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=server.tls)
    await site.start()
    scheme = "https" if server.tls else "http"
    server.base_url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/v1"


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
