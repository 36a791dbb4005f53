"""The server of `evalkit view`: to this machine alone, read-only, by an address that is secret.

Others who use the machine cannot guess the address, and a page of another site that reaches it by
a name of its own (DNS rebinding) is refused, since a browser tells the name it asked for.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from evalkit.errors import EvalkitError, StoreError
from evalkit.evidence.damage import readable
from evalkit.viewing.desk import Desk

ADDRESS = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page states the rest itself
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MOST_WORDS = 1_000
Query = Mapping[str, str]
Question = Callable[[Desk, Query], Callable[[], dict[str, Any]]]
"""Reads what is asked, raising ValueError or KeyError, and gives what answers it."""


class Viewer(ThreadingHTTPServer):
    """Serves one desk and its page."""

    daemon_threads = True

    def __init__(self, desk: Desk, page: str, port: int = 0) -> None:
        super().__init__((ADDRESS, port), Handler)
        self.desk = desk
        self.page = page.encode("utf-8", "replace")
        self.secret = secrets.token_urlsafe(12)
        self.lock = Lock()  # the desk reads and keeps: one question at a time
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone away is nothing to tell of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/{self.secret}/"


class Handler(BaseHTTPRequestHandler):
    """One request: the page, or a question to the desk."""

    server: Viewer
    server_version = "evalkit"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Answers with the page or with JSON."""
        if self.headers.get("Host") not in self.server.hosts:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this address is for this machine alone")
            return
        asked = urlsplit(self.path)
        if asked.path == f"/{self.server.secret}/":
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page)
            return
        question = QUESTIONS.get(asked.path.removeprefix(f"/{self.server.secret}/"))
        if question is None or not asked.path.startswith(f"/{self.server.secret}/"):
            self._refuse(HTTPStatus.NOT_FOUND, "nothing is here: take the address evalkit printed")
            return
        self._answer(question, {name: found[-1] for name, found in parse_qs(asked.query).items()})

    do_HEAD = do_GET

    def _answer(self, question: Question, query: Query) -> None:
        try:
            asked = question(self.server.desk, query)
            with self.server.lock, readable("this comparison"):
                told = asked()
        except (KeyError, ValueError, IndexError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"not a question: {error}")
        except StoreError as error:
            self._refuse(HTTPStatus.NOT_FOUND, str(error))
        except EvalkitError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        else:
            self._json(HTTPStatus.OK, told)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._json(status, {"error": why})

    def _json(self, status: HTTPStatus, told: dict[str, Any]) -> None:
        content = json.dumps(told, allow_nan=False, separators=(",", ":")).encode()
        self._send(status, "application/json", content)

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: addresses hold what was searched for."""


def _pair(desk: Desk, query: Query) -> int:
    pair = int(query["pair"])
    if not 0 <= pair < len(desk.pairs):
        raise ValueError("no such comparison")
    return pair


def _facets(desk: Desk, query: Query) -> Callable[[], dict[str, Any]]:
    return partial(desk.facets, _pair(desk, query))


def _samples(desk: Desk, query: Query) -> Callable[[], dict[str, Any]]:
    return partial(
        desk.samples,
        _pair(desk, query),
        within=query.get("slice", ""),
        how=query.get("outcome", ""),
        direction=query.get("direction", ""),
        words=query.get("search", "")[:MOST_WORDS],
        start=max(0, int(query.get("from", "0"))),
    )


def _sample(desk: Desk, query: Query) -> Callable[[], dict[str, Any]]:
    item = bytes.fromhex(query["at"])
    if len(item) != 16:
        raise ValueError("an item is 16 bytes")
    return partial(desk.sample, _pair(desk, query), item)


QUESTIONS: Mapping[str, Question] = {
    "facets": _facets,
    "samples": _samples,
    "sample": _sample,
}
