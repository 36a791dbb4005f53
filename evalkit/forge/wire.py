"""One HTTP request to a forge's API: JSON in and out, errors that say what to do.

The token comes from the environment, goes to the API's own host alone, and is in no message.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from evalkit.errors import ForgeError

T = TypeVar("T")
TIMEOUT = 60.0  # seconds for one request
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}
PIECE = 1 << 20
ANSWER_BYTES = 1 << 26
"""More than any page of comments takes."""


class Passing(ForgeError):
    """A failure that may not happen again: of the network, or of a server that is busy."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause  # seconds that the server asks for


class Refused(ForgeError):
    """An answer that says no, and would say it again."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    body: bytes
    headers: Mapping[str, str]  # names in lower case

    def json(self) -> Any:
        """The body as JSON; raises Passing where it is none, as a proxy's error page is."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Passing("the answer is not JSON") from None


@dataclass(frozen=True, slots=True)
class Api:
    """A forge's API: where it is, and how one is known there."""

    base: str  # without a slash at the end
    headers: Mapping[str, str]  # with the token

    def __repr__(self) -> str:
        return f"Api({self.base})"

    def call(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Reply:
        """Asks once; raises Passing or Refused."""
        with self._open(method, path, content) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.read(ANSWER_BYTES), headers)

    def download(self, path: str, into: Path) -> None:
        """Writes what is there to a file; raises Passing or Refused."""
        with self._open("GET", path) as answer, into.open("wb") as file:
            shutil.copyfileobj(answer, file, PIECE)
            if answer.length:  # what was announced and did not come
                raise HTTPException(f"{answer.length:,} bytes are missing")

    @contextmanager
    def _open(
        self, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> Iterator[HTTPResponse]:
        url = path if urlsplit(path).netloc else f"{self.base}{path}"
        if not url.startswith(f"{self.base}/"):
            raise ForgeError(f"{self.base} names {url}, which is not of its own: not asked")
        request = Request(url, method=method, headers={"User-Agent": "evalkit", **self.headers})
        if content is not None:
            request.data = json.dumps(content).encode()
            request.add_header("Content-Type", "application/json")
        where = f"{method} {url.partition('?')[0]}"
        try:
            with build_opener(Redirects()).open(request, timeout=TIMEOUT) as answer:
                yield answer
        except HTTPError as error:
            raise _failure(where, error) from None
        except (HTTPException, OSError) as error:  # URLError is one of the latter
            raise Passing(f"{where}: {getattr(error, 'reason', error)}") from None


class Redirects(HTTPRedirectHandler):
    """Follows a redirect to another host without what one is known by here."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The next request; of one that leads elsewhere only what any reader sends."""
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            following.headers = {"User-agent": "evalkit"}
        return following


def _failure(where: str, error: HTTPError) -> ForgeError:
    said = f"{where}: {error.code} {error.reason}{_message(error)}"
    limited = error.code == 403 and (
        "retry-after" in error.headers or error.headers.get("x-ratelimit-remaining") == "0"
    )
    if error.code in PASSING or limited:
        return Passing(said, _pause(error.headers.get("retry-after")))
    return Refused(said, error.code)


def _message(error: HTTPError) -> str:
    """What the API says of its refusal, if it does."""
    try:
        told = json.loads(error.read(ANSWER_BYTES))
        return f": {told.get('message') or told.get('error') or ''}"[:300].rstrip(": ")
    except (ValueError, OSError, AttributeError, HTTPException):
        return ""


def _pause(seconds: str | None) -> float | None:
    return float(seconds) if seconds and seconds.isdigit() else None


def retried(ask: Callable[[], T], pause: Callable[[float], None] = time.sleep) -> T:
    """What `ask` returns, which is called again where its failure may pass."""
    for turn in range(TRIES):
        try:
            return ask()
        except Passing as error:
            if turn == TRIES - 1:
                raise
            wanted = error.pause if error.pause is not None else FIRST_PAUSE * 2**turn
            pause(min(wanted, LONGEST_PAUSE))
    raise AssertionError("unreachable")
