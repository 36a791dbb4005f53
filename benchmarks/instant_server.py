"""A chat server that costs next to nothing, so that what is measured is the harness that asks it.

`python -m benchmarks.instant_server --latency 0.05` prints its address and serves until it is
killed.  It answers `A plus B` with the sum, anything else with one letter, and counts its
requests: GET /stats says how many there were, and when the first and the last one came.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import time

SUM = re.compile(rb"(\d+) plus (\d+)")
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
ANSWER = "The answer is (A)."


class Server:
    """What it was asked."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.reset()

    def reset(self) -> None:
        """Forgets what it was asked."""
        self.requests = 0
        self.first = self.last = 0.0
        self.in_flight = self.peak = 0

    def stats(self) -> bytes:
        """What it was asked since it was reset, as JSON."""
        told = {"requests": self.requests, "first": self.first, "last": self.last}
        return json.dumps({**told, "peak": self.peak}).encode()


class Connection(asyncio.Protocol):
    """One client: requests one after another, each answered after the latency."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers where to write."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Takes every whole request out of what has come."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            found = LENGTH.search(head)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self.buffer) < whole:
                return
            body, self.buffer = self.buffer[end + 4 : whole], self.buffer[whole:]
            self.request(head, body)

    def request(self, head: bytes, body: bytes) -> None:
        """One request."""
        server = self.server
        if head.startswith(b"GET"):
            if head.startswith(b"GET /reset"):
                server.reset()
            self.write(server.stats())
            return
        server.last = time.time()
        server.first = server.first or server.last
        server.requests += 1
        server.in_flight += 1
        server.peak = max(server.peak, server.in_flight)
        answer = reply(head, body)
        if server.latency:
            asyncio.get_running_loop().call_later(server.latency, self.answer, answer)
        else:
            self.answer(answer)

    def answer(self, content: bytes) -> None:
        """The answer of one request."""
        self.server.in_flight -= 1
        self.write(content)

    def write(self, content: bytes) -> None:
        """A whole response."""
        assert self.transport is not None
        if not self.transport.is_closing():
            length = str(len(content)).encode()
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            self.transport.write(head + length + b"\r\n\r\n" + content)


def reply(head: bytes, body: bytes) -> bytes:
    """An answer in the protocol's form, for a chat or a completion."""
    found = SUM.findall(body)
    text = str(int(found[-1][0]) + int(found[-1][1])) if found else ANSWER
    usage = b'"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}'
    start = b'{"id":"x","created":1,"model":"m",' + usage
    if b"/chat/" in head[:80]:
        said = b'"message":{"role":"assistant","content":"' + text.encode() + b'"}'
        kind = b',"object":"chat.completion"'
    else:
        said = b'"text":"' + text.encode() + b'","logprobs":null'
        kind = b',"object":"text_completion"'
    return start + kind + b',"choices":[{"index":0,"finish_reason":"stop",' + said + b"}]}"


async def serve(port: int, latency: float) -> None:
    """Serves until killed."""
    server = Server(latency)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", port)
    address = listening.sockets[0].getsockname()[1]
    os.write(1, f"http://127.0.0.1:{address}/v1\n".encode())
    await listening.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    asyncio.run(serve(**vars(parser.parse_args())))
