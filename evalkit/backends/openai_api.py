"""Any server that speaks the OpenAI protocol, by chat or by completion.

The key is read from the environment variable that `api_key_env` names and appears nowhere else.
`extra_body` adds fields to every request; a field given there as null is left out, for servers
that refuse it (`{max_tokens: null, max_completion_tokens: 4096}`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from evalkit.backends._batches import Batches
from evalkit.backends._choice import likelihood, prompt_tokens, responses
from evalkit.backends._http import Http
from evalkit.backends._options import options
from evalkit.backends._pace import Limit, Pace
from evalkit.backends._reach import CONNECT, reach_any
from evalkit.backends._retry import Failure
from evalkit.backends._templated import split
from evalkit.backends._together import Together
from evalkit.backends._wire import only_thought
from evalkit.errors import ConfigError, ModelError
from evalkit.storage.files import cache_folder
from evalkit.types import Backend, Checkpoint, LogLikelihood, Message, Prompt, Request, Response

T = TypeVar("T")
REFUSALS = frozenset({400, 422})  # of a request with a field that the server does not know
OPTIONS: Mapping[str, Any] = {
    "base_url": "",
    "base_urls": [],  # further servers of the same model
    "model": "",  # the checkpoint's model unless the server knows it by another name
    "api_key_env": "",
    "concurrency": 64,
    "timeout": 600.0,  # seconds for one try
    "retries": 8,
    "backoff": 0.5,  # seconds before the second try, then doubled
    "requests_per_minute": 0.0,  # 0 is no limit
    "tokens_per_minute": 0.0,
    "n": 1,  # epochs of a sample that one request asks for
    "batch": 0,  # requests in a batch of the Batch API; 0 asks one by one
    "batch_poll": 60.0,  # seconds between two looks at a batch
    "extra_body": {},
}


@dataclass(slots=True)
class Server:
    """A model behind an URL."""

    http: Http
    model: str
    format: Literal["chat", "completion"] = "chat"
    concurrency: int = 64
    extra: Mapping[str, Any] = field(default_factory=dict)
    batches: Batches | None = None  # how answers are asked for, in place of `http`
    together: Together | None = None
    schemas: bool = True  # False once it has refused one

    async def generate(self, request: Request) -> Response:
        """The answer; what went wrong after all tries is its error."""
        if self.together is not None:
            return await self.together.generate(request)
        return (await self.answers(request, 1))[0]

    async def answers(self, request: Request, count: int) -> list[Response]:
        """So many answers by one request, or fewer if the server gives no more."""
        constrained = request.schema is not None and self.schemas
        try:
            return await self._answered(request, count)
        except Failure as failure:
            refused = constrained and failure.status in REFUSALS
            plain = await self._without_schema(request, count) if refused else None
            return plain or [Response(finish_reason="error", error=str(failure))] * count

    async def _answered(self, request: Request, count: int) -> list[Response]:
        """The answers, asked for without stop strings again where one has ended a thought."""
        body, stop = self.body(request), request.sampling.stop
        found = await self._posted(body, stop, count)
        if stop and "stop" not in self.extra and any(map(only_thought, found)):
            del body["stop"]
            found = await self._posted(body, stop, count)
        return found

    async def _posted(
        self, body: dict[str, Any], stop: tuple[str, ...], count: int
    ) -> list[Response]:
        path = "chat/completions" if self.format == "chat" else "completions"
        body = body if count == 1 else {**body, "n": count}
        asked = (self.batches or self.http).post
        return await asked(path, body, lambda answer: responses(answer, stop))

    async def _without_schema(self, request: Request, count: int) -> list[Response] | None:
        """The answers of a server that refuses schemas, which is not given another one."""
        with suppress(Failure):
            found = await self._answered(replace(request, schema=None), count)
            self.schemas = False
            return found
        return None

    def body(self, request: Request) -> dict[str, Any]:
        """The fields of one request."""
        sampling = request.sampling
        body: dict[str, Any] = {"model": self.model, "n": 1, "temperature": sampling.temperature}
        body["messages" if self.format == "chat" else "prompt"] = request.prompt
        body["max_tokens"] = sampling.max_tokens
        if sampling.top_p != 1.0:
            body["top_p"] = sampling.top_p
        if sampling.stop:  # an empty list makes some servers fail
            body["stop"] = list(sampling.stop)
        if request.seed is not None:
            body["seed"] = request.seed
        if request.sample.tools and self.format == "chat":
            body["tools"] = list(request.sample.tools)
        if request.top_logprobs:
            body |= self._logprobs(request.top_logprobs)
        if request.schema is not None and self.schemas and self.format == "chat":
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": dict(request.schema)},
            }
        return self.filled(body)

    def _logprobs(self, count: int) -> dict[str, Any]:
        if self.format == "chat":
            return {"logprobs": True, "top_logprobs": count}
        return {"logprobs": count}

    def filled(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body under the user's own fields, without those set to null."""
        return {k: v for k, v in {**body, **self.extra}.items() if v is not None}

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """Read from the echoed prompt of `/completions`; raises ModelError where it has none.

        As in lm-eval, spaces that end the context count as the continuation's, and the
        continuation's tokens are those that the whole text has beyond the context's own.
        """
        if not isinstance(context, str):
            return await self._after_template(context, continuations)
        try:
            start = await self._scored(context.rstrip(), prompt_tokens) if context.strip() else 0
            return [
                await self._scored(context + words, lambda answer: likelihood(answer, start))
                for words in continuations
            ]
        except Failure as failure:
            raise ModelError(str(failure)) from None

    async def _after_template(
        self, context: Sequence[Message], continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """In tokens, of a conversation that the server's own chat template has written."""
        try:
            head, tails = await split(self.http, self.model, context, continuations)
        except Failure as failure:
            raise ModelError(
                f"{failure}: log-likelihoods need the text itself, and only the server knows its "
                "chat template: set `format: completion` on the checkpoint"
            ) from None
        try:
            return [
                await self._scored([*head, *tail], lambda answer: likelihood(answer, len(head)))
                for tail in tails
            ]
        except Failure as failure:
            raise ModelError(str(failure)) from None

    async def rolling(self, text: str) -> LogLikelihood:
        """Of every token but the first, in one piece: as much text as the server reads."""
        try:
            return await self._scored(text, lambda answer: likelihood(answer, 0))
        except Failure as failure:
            raise ModelError(str(failure)) from None

    async def _scored(self, text: str | list[int], read: Callable[[dict[str, Any]], T]) -> T:
        body = {"model": self.model, "prompt": text, "max_tokens": 1, "temperature": 0.0,
                "echo": True, "logprobs": 1}  # fmt: skip
        return await self.http.post("completions", self.filled(body), read)

    async def close(self) -> None:
        """Lets the connections go."""
        if self.batches is not None:
            await self.batches.close()
        await self.http.close()


def open_(checkpoint: Checkpoint) -> Server:
    """Connects once, so that a server that is down is found before anything is asked."""
    chosen = options(checkpoint, OPTIONS)
    where = f"checkpoint {checkpoint.name!r}"
    model = chosen["model"] or checkpoint.model
    if not chosen["base_url"] or not model:
        missing = "model" if chosen["base_url"] else "base_url"
        raise ConfigError(f"{where}: openai_api needs `{missing}`")
    variable = chosen["api_key_env"]
    if variable and not os.environ.get(variable):
        raise ConfigError(f"{where}: the environment variable {variable} (api_key_env) is not set")
    http = Http(
        chosen["base_url"],
        os.environ[variable].strip() if variable else "",
        chosen["timeout"],
        chosen["retries"],
        chosen["backoff"],
        others=tuple(map(str, chosen["base_urls"])),
        pace=_pace(chosen),
    )
    reach_any((http.base_url, *http.others), min(CONNECT, http.timeout))
    extra = chosen["extra_body"]
    server = Server(http, model, checkpoint.format or "chat", chosen["concurrency"], extra)
    if chosen["batch"]:
        folder = _noted(checkpoint, chosen["base_url"], model)
        server.batches = Batches(http, chosen["batch"], chosen["batch_poll"], folder)
        server.concurrency = chosen["batch"]
    if chosen["n"] > 1:
        server.together = Together(chosen["n"], server.answers)
    return server


def _pace(chosen: Mapping[str, Any]) -> Pace | None:
    requests, tokens = chosen["requests_per_minute"], chosen["tokens_per_minute"]
    return Pace(Limit(requests), Limit(tokens)) if requests or tokens else None


def _noted(checkpoint: Checkpoint, base_url: str, model: str) -> Path:
    """Where the batches of a checkpoint are noted: another identity's answers are not its own."""
    who = f"{base_url} {model} {checkpoint.identity}"
    return cache_folder() / "batches" / hashlib.sha256(who.encode()).hexdigest()[:16]


def identify(checkpoint: Checkpoint) -> str:
    """What the user says it is: an URL does not tell."""
    return checkpoint.identity


def environment(checkpoint: Checkpoint) -> Mapping[str, str]:
    """The protocol and the server's host; not its port, which says nothing of the engine."""
    base_url = options(checkpoint, OPTIONS)["base_url"]
    return {"engine": "openai_api", "server": urlsplit(base_url).hostname or ""}


BACKENDS = (Backend("openai_api", open_, identify, environment, OPTIONS),)
