"""JSON over HTTP that outlives a bad server: what is worth another try gets one, with jitter.

Tried again: 408, 409, 429, 5xx, broken connections, timeouts, and answers that are not whole JSON.
Not tried again: every other status, since asking twice would not change it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from evalkit.backends._retry import (
    LONGEST_RETRY_AFTER,
    TIMED_OUT,
    TIMEOUT_COST,
    WORTH_ANOTHER_TRY,
    Failure,
    retry_after,
    wait,
)
from evalkit.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
HINTS = {
    401: ": is api_key_env the variable that holds this server's key?",
    403: ": is api_key_env the variable that holds this server's key?",
    404: ": are base_url and model what the server knows?",
}
CONNECT = 10.0  # seconds to reach a server that is there


@dataclass(slots=True)
class Http:
    """One server, its key and how patiently it is asked."""

    base_url: str
    key: str = field(default="", repr=False)
    timeout: float = 600.0
    retries: int = 8
    backoff: float = 0.5
    _session: aiohttp.ClientSession | None = None
    _gone: bool = False  # a request heard nothing in all its tries: the next get a single one

    @property
    def host(self) -> str:
        """The server's name and port, for messages."""
        return urlsplit(self.base_url).netloc

    async def post(
        self, path: str, body: Mapping[str, Any], read: Callable[[dict[str, Any]], T]
    ) -> T:
        """What `read` makes of the server's answer; raises Failure when the tries are used up."""
        import orjson

        try:
            data = orjson.dumps(body)
        except TypeError as error:  # a lone surrogate, say
            raise Failure(f"{self.host}: cannot be sent as JSON: {error}", again=False) from None
        tried, spent = 1, 0
        while True:
            try:
                answer = read(await self._once(path, data))
            except Failure as failure:
                spent += failure.cost
                if not failure.again or spent > self.retries or (failure.silent and self._gone):
                    self._gone = self._gone or failure.silent
                    times = f" ({tried} tries)" if tried > 1 else ""
                    raise Failure(f"{self.host}: {failure}{times}", status=failure.status) from None
                await asyncio.sleep(wait(tried, self.backoff, failure.after))
                tried += 1
            else:
                self._gone = False
                return answer

    async def close(self) -> None:
        """Lets the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(self, path: str, data: bytes) -> dict[str, Any]:
        """One try."""
        import aiohttp

        url = f"{self.base_url.rstrip('/')}/{path}"
        try:
            async with self._open().post(url, data=data, allow_redirects=False) as reply:
                content = await reply.read()
                if reply.status != 200:
                    raise self._refusal(reply.status, reply.headers, content)
                return _json_object(reply.content_type, content)
        except TimeoutError:
            words = f"{TIMED_OUT} {self.timeout:g} s"
            raise Failure(words, silent=True, cost=TIMEOUT_COST) from None
        except aiohttp.ClientSSLError as error:
            raise Failure(f"TLS: {_one_line(str(error))}", again=False) from None
        except (aiohttp.ClientError, OSError) as error:
            words = _one_line(str(error)) or type(error).__name__
            raise Failure(f"connection failed: {words}", silent=True) from None

    def _open(self) -> aiohttp.ClientSession:
        """The session, made in the loop that uses it."""
        import aiohttp

        if self._session is None:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            if self.key:
                headers["Authorization"] = f"Bearer {self.key}"
            self._session = aiohttp.ClientSession(
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),  # none is wanted, and a jar costs each request
                connector=aiohttp.TCPConnector(limit=0),  # the engine bounds what is in flight
                timeout=aiohttp.ClientTimeout(total=self.timeout, sock_connect=CONNECT),
            )
        return self._session

    def _refusal(self, status: int, headers: Mapping[str, str], content: bytes) -> Failure:
        """What a status other than 200 means, without the key if the server repeats it."""
        words = _one_line(_reason(content)) + HINTS.get(status, "")
        if self.key:
            words = words.replace(self.key, "***")
        after = retry_after(headers.get("Retry-After", ""))
        again = status in WORTH_ANOTHER_TRY or status >= 500
        if after > LONGEST_RETRY_AFTER:
            return Failure(f"HTTP {status}, asks to wait {after:.0f} s", again=False)
        return Failure(f"HTTP {status}: {words}", again=again, after=after, status=status)


def reach(base_url: str) -> None:
    """Raises ConfigError for what is no address, ModelError where nothing listens."""
    try:
        parts = urlsplit(base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise ConfigError(f"base_url {base_url!r}: {error}") from None
    if parts.username or parts.password:
        raise ConfigError("base_url must not hold a user or password: name it by api_key_env")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"base_url {base_url!r} must look like http://127.0.0.1:8000/v1")
    try:
        socket.create_connection((parts.hostname, port), CONNECT).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelError(f"cannot reach {base_url}: {why}: is the server running?") from None


def _json_object(content_type: str, content: bytes) -> dict[str, Any]:
    import orjson

    if "json" not in content_type:
        raise Failure(f"answered with {content_type} instead of JSON")
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Failure("answered with JSON that is cut short or broken") from None
    if not isinstance(answer, dict):
        raise Failure("answered with JSON that is no object")
    return answer


def _reason(content: bytes) -> str:
    """The server's own words on a refusal, out of the JSON that most wrap them in."""
    import orjson

    text = content.decode(errors="replace")
    try:
        found = orjson.loads(content)
        found = found.get("error", found)
        found = found if isinstance(found, str) else found["message"]
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return text
    return str(found)


def _one_line(text: str, limit: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[:limit] + " …"
