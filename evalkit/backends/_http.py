"""JSON over HTTP that outlives a bad server: what is worth another try gets one, with jitter.

Tried again: 408, 409, 429, 5xx, broken connections, timeouts, and answers that are not whole JSON.
Not tried again: every other status and a certificate that does not hold, since asking twice would
not change it; of several servers each is asked once, unless it is the request that is refused.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from evalkit.backends import _tls
from evalkit.backends._addresses import Address, least_loaded
from evalkit.backends._pace import Pace
from evalkit.backends._reach import CONNECT, endpoint
from evalkit.backends._reply import json_object, one_line, refusal
from evalkit.backends._retry import NOT_CONNECTED, TIMED_OUT, TIMEOUT_COST, Failure, wait

if TYPE_CHECKING:
    import aiohttp

S = TypeVar("S")
T = TypeVar("T")
Form: TypeAlias = Mapping[str, tuple[str | bytes, str]]
"""Fields of a form: a value, and the file's name where it is one."""


@dataclass(slots=True)
class Http:
    """A server, or several of one model, with their key and how patiently they are asked."""

    base_url: str
    key: str = field(default="", repr=False)
    timeout: float = 600.0
    retries: int = 8
    backoff: float = 0.5
    hopeless: Callable[[], bool] = bool  # says that no other try can help
    others: tuple[str, ...] = ()  # further servers
    pace: Pace | None = None
    _addresses: tuple[Address, ...] = ()
    _session: aiohttp.ClientSession | None = None
    _gone: bool = False  # a request heard nothing in all its tries: the next get a single one
    _looked: dict[str, asyncio.Task[bool]] = field(default_factory=dict)  # by host: is it TLS?

    def __post_init__(self) -> None:
        self._addresses = tuple(map(Address, (self.base_url, *self.others)))

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
        return await self._tries(lambda: self._paced(path, data, body), read)

    async def fetch(self, method: str, path: str, form: Form | None = None) -> bytes:
        """The content at a path, after as many tries as a request gets."""
        return await self._tries(lambda: self._fetched(method, path, form), bytes)

    async def _tries(self, once: Callable[[], Awaitable[S]], read: Callable[[S], T]) -> T:
        tried, spent = 1, 0
        while True:
            try:
                answer = read(await once())
            except Failure as failure:
                spent += failure.cost
                if self._gives_up(failure, tried, spent):
                    times = f" ({tried} tries)" if tried > 1 else ""
                    raise Failure(f"{self.host}: {failure}{times}", status=failure.status) from None
                await asyncio.sleep(wait(tried, self.backoff, failure.after))
                if self.hopeless():
                    raise Failure(f"{self.host}: {failure}") from None
                tried += 1
            else:
                self._gone = False
                return answer

    async def get(self, path: str) -> dict[str, Any] | None:
        """What a server answers to a single GET; None where it does not, or not yet."""
        import aiohttp

        try:
            async with self._open().get(_url(self.base_url, path)) as reply:
                content = await reply.read()
                return json_object(reply.content_type, content) if reply.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError, Failure):
            return None

    def _gives_up(self, failure: Failure, tried: int, spent: int) -> bool:
        again = failure.again or (failure.elsewhere and tried < len(self._addresses))
        silent_again = failure.silent and self._gone
        if again and spent <= self.retries and not silent_again and not self.hopeless():
            return False
        self._gone = self._gone or failure.silent
        return True

    async def close(self) -> None:
        """Lets the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _paced(self, path: str, data: bytes, body: Mapping[str, Any]) -> dict[str, Any]:
        """One try, when its turn has come, by the server that has the least to do."""
        if self.pace is None:
            return await self._once(path, data)
        expected = await self.pace.wait(data, body)
        answer = await self._once(path, data)
        self.pace.count(expected, answer)
        return answer

    async def _once(self, path: str, data: bytes) -> dict[str, Any]:
        address = least_loaded(self._addresses)
        with address.busy():
            return await self._asked(_url(address.base_url, path), data)

    async def _asked(self, url: str, data: bytes) -> dict[str, Any]:
        return json_object(*await self._reply("POST", url, data))

    async def _fetched(self, method: str, path: str, form: Form | None) -> bytes:
        import aiohttp

        url, payload = _url(self.base_url, path), None
        if form is not None:
            fields = aiohttp.FormData()
            for name, (value, filename) in form.items():
                fields.add_field(name, value, filename=filename or None)
            payload = fields()
        return (await self._reply(method, url, payload))[1]

    async def _reply(
        self, method: str, url: str, data: bytes | aiohttp.Payload | None
    ) -> tuple[str, bytes]:
        """Type and content of what a server answers with 200."""
        import aiohttp

        headers = data.headers if isinstance(data, aiohttp.Payload) else None  # a form's boundary
        try:
            async with self._open().request(
                method, url, data=data, allow_redirects=False, headers=headers
            ) as reply:
                content = await reply.read()
                if reply.status != 200:
                    raise refusal(reply.status, reply.headers, content, self.key)
                return reply.content_type, content
        except TimeoutError as error:
            connected = not isinstance(error, aiohttp.ConnectionTimeoutError)
            seconds = self.timeout if connected else min(CONNECT, self.timeout)
            words = f"{TIMED_OUT if connected else NOT_CONNECTED} {seconds:g} s"
            raise Failure(words, silent=True, cost=TIMEOUT_COST) from None
        except (aiohttp.ClientError, OSError) as error:
            raise await self._broken(error, url) from None

    async def _broken(self, error: Exception, url: str) -> Failure:
        """Why a connection could not be made, or brought no answer."""
        import aiohttp

        if isinstance(error.__cause__, ssl.SSLError):
            return _tls.failure(error.__cause__)
        if url.startswith("https:") and _cut_off(error):
            return Failure(_tls.CUT, silent=True)
        gibberish = aiohttp.ServerDisconnectedError | aiohttp.ClientResponseError
        if url.startswith("http:") and isinstance(error, gibberish) and await self._is_tls(url):
            return _tls.not_expected()
        words = one_line(str(error)) or type(error).__name__
        return Failure(f"connection failed: {words}", silent=True)

    async def _is_tls(self, url: str) -> bool:
        """Whether a server that plain HTTP brought no answer of speaks TLS; looked at once."""
        host, port = endpoint(url)
        place = f"{host}:{port}"
        if place not in self._looked:
            look = asyncio.to_thread(_tls.speaks, host, port, min(CONNECT, self.timeout))
            self._looked[place] = asyncio.create_task(look)
        return await asyncio.shield(self._looked[place])

    def _open(self) -> aiohttp.ClientSession:
        """The session, made in the loop that uses it."""
        import aiohttp

        if self._session is None:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            if self.key:
                headers["Authorization"] = f"Bearer {self.key}"
            secure = any(each.base_url.startswith("https:") for each in self._addresses)
            self._session = aiohttp.ClientSession(
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),  # none is wanted, and a jar costs each request
                # the engine bounds what is in flight
                connector=aiohttp.TCPConnector(limit=0, ssl=_tls.trust() if secure else True),
                timeout=aiohttp.ClientTimeout(total=self.timeout, sock_connect=CONNECT),
            )
        return self._session


def _url(base_url: str, path: str) -> str:
    """The address of a path below the base, or, with a slash before it, beside `/v1`."""
    base = base_url.rstrip("/")
    return base.removesuffix("/v1") + path if path.startswith("/") else f"{base}/{path}"


def _cut_off(error: Exception) -> bool:
    """Whether a connection ended that was being made, and had not been refused."""
    import aiohttp

    ends = ConnectionResetError | ConnectionAbortedError
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ends)
