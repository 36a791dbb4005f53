"""Bits per byte: how well a model predicts a text of the user's own, which it was not trained on.

The base model's own measure: every token of the text is an observation, so that it moves long
before an exam does, and forgetting shows in it first.  Bytes make models with different
tokenizers comparable (Gao et al., The Pile, 2020, arXiv:2101.00027).

A name is the user's own: `bits-per-byte:wiki`, its text under `data:`.  The text is cut at ends of
lines into pieces of about four kilobytes, each predicted by itself.  Neighbours share a topic, so
eight in a row are one cluster.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from evalkit.errors import ConfigError
from evalkit.types import (
    Asker,
    Family,
    Graded,
    Response,
    Rows,
    Sample,
    Score,
    Source,
    Task,
)

PIECE = 4096
"""Bytes of a piece, at most; the last takes in what is left, if that is less than half of one."""
RUN = 8
"""Neighbouring pieces that make a cluster."""
WORST = 8.0
"""Bits that a byte takes without any model; a model that needs more is counted as none."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


def samples(rows: Rows) -> Iterator[Sample]:
    """The pieces of the text, in order; each is known by its content."""
    seen: Counter[str] = Counter()
    for document, pieces in enumerate(_documents(rows)):
        for number, piece in enumerate(pieces):
            name = hashlib.sha256(piece.encode()).hexdigest()[:16]
            seen[name] += 1
            again = f"-{seen[name]}" if seen[name] > 1 else ""
            cluster = f"{document}.{number // RUN}"
            yield Sample(name + again, piece, question=piece, cluster=cluster)


def _documents(rows: Rows) -> Iterator[Iterator[str]]:
    """The pieces of each document: a row is one, unless rows in succession name the same."""
    numbered = enumerate(rows("test"))
    for _, lines in groupby(numbered, key=lambda each: each[1].get("document", each[0])):
        yield pieces(str(row["text"]) for _, row in lines)


def pieces(lines: Iterable[str]) -> Iterator[str]:
    """A document cut into pieces at ends of lines, or within a line that is too long.

    What is left over at the end goes with the last piece, if it is less than half of one.
    """
    whole, ready, size = "", "", 0
    for part in _parts(lines):
        length = len(part.encode())
        if size + length > PIECE:
            if whole:
                yield whole
            whole, ready, size = ready, "", 0
        ready, size = ready + part, size + length
    if whole and size < PIECE // 2:
        whole, ready = whole + ready, ""
    yield from (piece for piece in (whole, ready) if piece)


def _parts(lines: Iterable[str]) -> Iterator[str]:
    """The lines; those that are longer than a piece in parts, cut between characters."""
    step = PIECE // 4  # a character takes up to four bytes
    for line in lines:
        if len(line.encode()) <= PIECE:
            yield line
        else:
            yield from (line[start : start + step] for start in range(0, len(line), step))


async def solve(sample: Sample, model: Asker) -> Response:
    """How likely the piece is, all its tokens together."""
    found = await model.rolling(str(sample.rendered()))
    return Response(loglikelihoods=(found.total,), prompt_tokens=found.tokens)


def score(sample: Sample, response: Response) -> Score:
    """Bits that a byte of the piece takes under the model."""
    if len(response.loglikelihoods) != 1:
        return Score(WORST)
    size, nats = len(sample.question.encode()), -response.loglikelihoods[0]
    bits = nats / math.log(2) / size if math.isfinite(nats) else WORST
    kept = min(max(bits, 0.0), WORST)
    details: dict[str, Any] = {"bytes": size, "bits": kept * size, "tokens": response.prompt_tokens}
    return Score(kept, f"{kept:.4f}", details, "measured")


def figures(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Of the text as a whole: bits over bytes, nats over tokens, and bytes over tokens."""
    known = [score.details for each in graded for score in each.scores if score and score.details]
    bits, size, tokens = (sum(each[key] for each in known) for key in ("bits", "bytes", "tokens"))
    found = {"bits per byte": bits / size} if size else {}
    if tokens:
        found |= {"nats per token": bits * math.log(2) / tokens, "bytes per token": size / tokens}
    return found


def open_text(name: str) -> tuple[Task, ...]:
    """The task of a text that the user has given this name."""
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"bits-per-byte:{name}: give the text a name of letters, digits, dots and dashes, and"
            " its path under `data:`"
        )
    whole = f"bits-per-byte:{name}"
    source = Source("", "", whole, {"test": ""}, {}, ("text",), text=True)
    return (
        Task(
            name=whole,
            domain="language-modelling",
            version=1,
            samples=samples,
            score=score,
            solve=solve,
            metrics=figures,
            source=source,
            bounds=(0.0, WORST),
            higher_is_better=False,
        ),
    )


FAMILIES = (
    Family(
        "bits-per-byte",
        "language-modelling; bits per byte of a text of yours, under `data:`",
        open_text,
    ),
)
