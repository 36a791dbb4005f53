"""A server on 127.0.0.1 that behaves as the REST APIs of GitHub and GitLab do, as far as needed.

Comments come in pages with the headers of each forge, bodies that are too long are refused, wrong
tokens are too, and a job's own token may not ask who it is.  Artefacts are handed out by a redirect
to another host, which refuses whoever shows it a token.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

GITHUB_LIMIT, GITLAB_LIMIT = 65_536, 1_000_000
TOKENS = {"bot-token": "", "personal-token": "ana", "glpat-token": "project_7_bot"}
"""Tokens, and the users they are of; a job's own is nobody's."""


@dataclass
class ForgeServer:
    """What is there, how badly it behaves, and what was asked."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    archives: dict[str, bytes] = field(default_factory=dict)  # by artefact id, or job@ref
    page: int = 2  # comments on a page, whatever was asked for
    faults: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # of the next requests
    read_only: bool = False  # as for a fork
    lose: int = 0  # answers to writes that are done and never arrive
    asked: list[str] = field(default_factory=list)
    url: str = ""
    blobs: str = ""

    def comment(self, body: str, login: str = "github-actions[bot]", kind: str = "Bot") -> None:
        """Somebody writes a comment."""
        user = {"login": login, "username": login, "type": kind}
        number = 1 + max((each["id"] for each in self.comments), default=100)
        self.comments.append({"id": number, "body": body, "user": user, "author": user})

    @property
    def bodies(self) -> list[str]:
        """The comments that are there."""
        return [each["body"] for each in self.comments]


class Api(BaseHTTPRequestHandler):
    """The API."""

    forge: ForgeServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Reads."""
        self.answer("GET")

    def do_POST(self) -> None:
        """Creates."""
        self.answer("POST")

    def do_PATCH(self) -> None:
        """Updates, on GitHub."""
        self.answer("PATCH")

    def do_PUT(self) -> None:
        """Updates, on GitLab."""
        self.answer("PUT")

    def answer(self, method: str) -> None:
        forge, found = self.forge, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        content = json.loads(self.rfile.read(length)) if length else {}
        forge.asked.append(f"{method} {found.path}")
        if forge.faults:
            status, headers = forge.faults.pop(0)
            return self.send(status, {"message": "Try again"}, headers)
        user = self.who()
        if user is None:
            return self.send(401, {"message": "Bad credentials"})
        query = {name: values[0] for name, values in parse_qs(found.query).items()}
        for pattern, handle in ROUTES.items():
            if match := re.fullmatch(pattern, f"{method} {found.path}"):
                return handle(self, user, query, content, *match.groups())
        return self.send(404, {"message": "Not Found"})

    def who(self) -> str | None:
        """The user of the token that was shown."""
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        shown = bearer or self.headers.get("PRIVATE-TOKEN") or self.headers.get("JOB-TOKEN") or ""
        return TOKENS.get(shown)

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def written(self, status: int) -> None:
        """The answer to a write, if it arrives."""
        if self.forge.lose:
            self.forge.lose -= 1
            self.close_connection = True
            self.connection.close()
            return
        self.send(status, {})

    def user(self, user: str, query: dict[str, str], content: Any) -> None:
        if not user:
            return self.send(403, {"message": "Resource not accessible by integration"})
        return self.send(200, {"login": user, "username": user})

    def github_comments(self, user: str, query: dict[str, str], content: Any, number: str) -> None:
        at, size = int(query.get("page", "1")), self.forge.page
        shown = self.forge.comments[(at - 1) * size : at * size]
        more = len(self.forge.comments) > at * size
        path = f"{self.forge.url}/repos/o/r/issues/{number}/comments?page={at + 1}"
        link = {"Link": f'<{path}>; rel="next", <{path}>; rel="last"'} if more else {}
        self.send(200, shown, link)

    def gitlab_notes(self, user: str, query: dict[str, str], content: Any, number: str) -> None:
        at, size = int(query.get("page", "1")), self.forge.page
        shown = self.forge.comments[(at - 1) * size : at * size]
        more = len(self.forge.comments) > at * size
        self.send(200, shown, {"X-Next-Page": str(at + 1) if more else ""})

    def create(self, user: str, query: dict[str, str], content: Any, number: str) -> None:
        if self.refused(content["body"]):
            return
        kind = "User" if user else "Bot"
        self.forge.comment(content["body"], user or "github-actions[bot]", kind)
        self.written(201)

    def update(self, user: str, query: dict[str, str], content: Any, *ids: str) -> None:
        if self.refused(content["body"]):
            return
        found = [each for each in self.forge.comments if str(each["id"]) == ids[-1]]
        if not found:
            return self.send(404, {"message": "Not Found"})
        found[0]["body"] = content["body"]
        return self.written(200)

    def refused(self, body: str) -> bool:
        gitlab = "/projects/" in self.path
        if self.forge.read_only:
            self.send(403, {"message": "Resource not accessible by integration"})
        elif len(body) > (GITLAB_LIMIT if gitlab else GITHUB_LIMIT):
            self.send(422, {"message": "Validation Failed: body is too long"})
        else:
            return False
        return True

    def artifacts(self, user: str, query: dict[str, str], content: Any) -> None:
        named = [each for each in self.forge.artifacts if each["name"] == query.get("name")]
        self.send(200, {"total_count": len(named), "artifacts": named})

    def archive(self, user: str, query: dict[str, str], content: Any, number: str) -> None:
        self.send(302, b"", {"Location": f"{self.forge.blobs}/{number}?sig=signed"})

    def job_archive(self, user: str, query: dict[str, str], content: Any, ref: str) -> None:
        key = f"{query.get('job')}@{ref.replace('%2F', '/')}"
        if key not in self.forge.archives:
            return self.send(404, {"message": "404 Not Found"})
        return self.send(302, b"", {"Location": f"{self.forge.blobs}/{key}?sig=signed"})


ROUTES: dict[str, Callable[..., None]] = {
    "GET /user": Api.user,
    r"GET /repos/o/r/issues/(\d+)/comments": Api.github_comments,
    r"POST /repos/o/r/issues/(\d+)/comments": Api.create,
    r"PATCH /repos/o/r/issues/comments/(\d+)": Api.update,
    r"GET /repos/o/r/actions/artifacts": Api.artifacts,
    r"GET /repos/o/r/actions/artifacts/(\d+)/zip": Api.archive,
    r"GET /projects/7/merge_requests/(\d+)/notes": Api.gitlab_notes,
    r"POST /projects/7/merge_requests/(\d+)/notes": Api.create,
    r"PUT /projects/7/merge_requests/(\d+)/notes/(\d+)": Api.update,
    r"GET /projects/7/jobs/artifacts/([^/]+)/download": Api.job_archive,
}


class Blobs(BaseHTTPRequestHandler):
    """Where the archives lie: another host, which takes a signed address and no token."""

    forge: ForgeServer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Hands an archive out."""
        found = urlsplit(self.path)
        tokens = {"authorization", "private-token", "job-token"}
        shown = tokens & {name.lower() for name in self.headers}
        body = self.forge.archives.get(found.path.strip("/"), b"")
        self.forge.asked.append(f"GET blob {found.path}")
        self.send_response(400 if shown or "sig=" not in found.query else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(forge: ForgeServer) -> Iterator[ForgeServer]:
    """Serves until the context ends."""
    servers = []
    for handler, name in ((Api, "url"), (Blobs, "blobs")):
        bound = type(handler.__name__, (handler,), {"forge": forge})
        server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
        servers.append(server)
        host = "127.0.0.1" if name == "url" else "localhost"
        setattr(forge, name, f"http://{host}:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield forge
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
