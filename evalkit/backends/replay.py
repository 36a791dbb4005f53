"""Answers from recorded outputs: JSONL, plain or gzip, one row per (task, id, epoch).

`{"task", "id", "epoch", "text", "tool_calls"?, "finish_reason"?, "usage"?, "reasoning"?,
"loglikelihoods"?}`, `id` being the benchmark's own.  The text is handed over as it was recorded,
without a cut at stop strings.  Two rows for one answer are an error: neither can be preferred.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from evalkit.backends._options import options
from evalkit.backends._wire import tool_calls, usage
from evalkit.errors import ConfigError, ModelError
from evalkit.types import Backend, Checkpoint, LogLikelihood, Prompt, Request, Response

OPTIONS: Mapping[str, Any] = {"path": ""}
GZIP = b"\x1f\x8b"
Key: TypeAlias = tuple[str, str, int]


@dataclass(slots=True)
class Replay:
    """A model that says again what was recorded of it."""

    path: Path
    answers: Mapping[Key, Response]
    format: Literal["chat", "completion"] = "completion"
    concurrency: int = 64

    async def generate(self, request: Request) -> Response:
        """The recorded answer; its absence is an infrastructure failure."""
        key = (request.task.name, request.sample.id, request.epoch)
        found = self.answers.get(key)
        if found is None:
            return Response(error=f"no recorded answer for {_words(key)} in {self.path}")
        if request.task.ask == "loglikelihood" and not found.loglikelihoods:
            return Response(error=f"no recorded log-likelihoods for {_words(key)} in {self.path}")
        if request.task.ask == "loglikelihood" and not found.text:
            ranked = sorted(zip(found.loglikelihoods, request.sample.choices, strict=False))
            return replace(found, text=ranked[-1][1] if ranked else "")
        return found

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """Cannot be looked up by a text; `generate` returns those recorded for the item."""
        raise ModelError("replay knows no text: ask it by request, it answers by the sample's id")

    async def rolling(self, text: str) -> LogLikelihood:
        """Cannot be told from a text alone."""
        raise ModelError("replay knows no text: it answers by the sample's id")

    async def close(self) -> None:
        """Holds nothing but memory."""


def open_(checkpoint: Checkpoint) -> Replay:
    """Reads every recording, so that a bad line is found before anything is asked."""
    path = recordings(checkpoint)
    answers: dict[Key, Response] = {}
    numbers: dict[Key, int] = {}
    for number, line in _lines(path):
        key, response = _row(line, f"{path}:{number}")
        if key in answers:
            raise ModelError(
                f"{path}:{number}: a second answer for {_words(key)}, the first is on line "
                f"{numbers[key]}: keep one of them"
            )
        answers[key] = response
        numbers[key] = number
    if not answers:
        raise ModelError(f"{path}: holds no recorded answers")
    return Replay(path, answers, checkpoint.format or "completion")


def identify(checkpoint: Checkpoint) -> str:
    """sha256 of the file."""
    path = recordings(checkpoint)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}: cannot read the recorded answers") from None


def environment(checkpoint: Checkpoint) -> Mapping[str, str]:
    """The engine's name."""
    return {"engine": "replay"}


def recordings(checkpoint: Checkpoint) -> Path:
    """The file that the option `path` names."""
    path = options(checkpoint, OPTIONS)["path"]
    if not path:
        raise ConfigError(f"checkpoint {checkpoint.name!r}: replay needs `path: recordings.jsonl`")
    return Path(path)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, numbered from 1."""
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == GZIP
            plain.seek(0)
            with gzip.open(plain) if packed else plain as file:
                for number, line in enumerate(file, 1):
                    if not line.isspace():
                        yield number, line
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot read the recorded answers: {why}") from None


def _row(line: bytes, where: str) -> tuple[Key, Response]:
    """One recording; raises ModelError with its file and line."""
    import orjson

    try:
        row = orjson.loads(line)
        key = (row["task"], str(row["id"]), int(row.get("epoch", 0)))
        prompt_tokens, completion_tokens = usage(row.get("usage"))
        calls = tool_calls(row.get("tool_calls"))
        return key, Response(
            text=_text(row, "text", required=not calls),
            reasoning=_text(row, "reasoning"),
            tool_calls=calls,
            finish_reason=row.get("finish_reason") or "stop",
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            loglikelihoods=tuple(map(float, row.get("loglikelihoods") or ())),
        )
    except orjson.JSONDecodeError as error:
        raise ModelError(f"{where}: not JSON: {error}") from None
    except KeyError as error:
        raise ModelError(f"{where}: a recorded answer needs the key {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{where}: not a recorded answer: {error}") from None


def _text(row: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    """A field of text; null is the empty text."""
    if required and name not in row and "loglikelihoods" not in row:
        raise KeyError(name)
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{name!r} must be a text, not {type(value).__name__}")
    return value


def _words(key: Key) -> str:
    """A key as people write it."""
    return f"task {key[0]!r}, id {key[1]!r}, epoch {key[2]}"


BACKENDS = (Backend("replay", open_, identify, environment, OPTIONS, reads_prompt=False),)
