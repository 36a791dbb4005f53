"""Listeners that spoil connections: they cut the first of them off, or say nothing ever."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Line(socketserver.BaseRequestHandler):
    """One connection: cut off once its first bytes have come, held in silence, or passed on."""

    server: Spoiler

    def handle(self) -> None:
        with self.server.counting:
            self.server.came += 1
            spoiled = self.server.came <= self.server.first
        if not spoiled:
            with socket.create_connection(self.server.behind) as other:
                back = threading.Thread(target=_pump, args=(other, self.request), daemon=True)
                back.start()
                _pump(self.request, other)
                back.join()
        elif self.server.silent:
            while self.request.recv(4096):
                pass
        else:
            self.request.recv(5)


class Spoiler(socketserver.ThreadingTCPServer):
    """Spoils the first connections, and passes the others on to a server behind it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, behind: str, first: int, *, silent: bool) -> None:
        super().__init__(("127.0.0.1", 0), Line)
        parts = urlsplit(behind)
        self.behind = (parts.hostname or "127.0.0.1", parts.port or 0)
        self.first, self.silent = first, silent
        self.came = 0
        self.counting = threading.Lock()


@contextmanager
def spoiled(behind: str = "", first: int = 1_000_000, *, silent: bool = False) -> Iterator[str]:
    """A spoiler until the block ends; gives its address, of https."""
    with Spoiler(behind, first, silent=silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Passes on what comes until no more does."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
