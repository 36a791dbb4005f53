"""How likely given continuations are: a context is read once, whatever is to follow it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from evalkit.backends._padded import Padded
from evalkit.types import LogLikelihood

if TYPE_CHECKING:
    from torch import Tensor

LOGITS = 2**27  # numbers that one forward pass may return: half a gigabyte in float32


@dataclass(frozen=True, slots=True)
class Question:
    """A tokenised context, and the tokens of each continuation; none of them empty."""

    context: Sequence[int]
    continuations: Sequence[Sequence[int]]


def score(model: Any, questions: Sequence[Question], size: int) -> list[list[LogLikelihood]]:
    """log p(continuation | context) for every continuation of every question."""
    import torch

    with torch.inference_mode():
        batch = Padded(model, [question.context for question in questions])
        pairs = [(at, tuple(row)) for at, q in enumerate(questions) for row in q.continuations]
        firsts = _graded(
            batch.logits[[at for at, _ in pairs]][:, None], [[row[0]] for _, row in pairs]
        )
        rests = [LogLikelihood(0.0, 0, True)] * len(pairs)
        vocabulary = batch.logits.shape[-1]
        for chunk in _chunks([row for _, row in pairs], size, vocabulary):
            logits = batch.fork([pairs[i][0] for i in chunk]).extend(
                [pairs[i][1][:-1] for i in chunk]
            )
            graded = _graded(logits, [pairs[i][1][1:] for i in chunk])
            for i, found in zip(chunk, graded, strict=True):
                rests[i] = found
    whole = map(_joined, firsts, rests)
    return [[next(whole) for _ in question.continuations] for question in questions]


def windows(tokens: Sequence[int], window: int | None) -> list[Question]:
    """Questions that score every token after the first once, in pieces that the model can read.

    As in lm-eval's rolling log-likelihood: a piece has one token of context, and the last one as
    many as fit.  Raises ValueError where there is nothing to score.
    """
    if len(tokens) < 2:
        raise ValueError("an empty text has no log-likelihood")
    size = window or len(tokens)
    questions = []
    for start in range(1, len(tokens), size):
        piece = tokens[start : start + size]
        questions.append(Question(tokens[max(0, start + len(piece) - 1 - size) : start], [piece]))
    return questions


def joined(parts: Sequence[LogLikelihood]) -> LogLikelihood:
    """The log-likelihood of a text from those of its pieces."""
    return reduce(_joined, parts)


def _chunks(rows: Sequence[Sequence[int]], size: int, vocabulary: int) -> Iterator[list[int]]:
    """The rows of more than one token by index, longest first, so many as fit at once."""
    long = sorted((i for i, row in enumerate(rows) if len(row) > 1), key=lambda i: -len(rows[i]))
    while long:
        fits = max(1, LOGITS // (vocabulary * (len(rows[long[0]]) - 1)))
        yield long[: min(size, fits)]
        long = long[min(size, fits) :]


def _graded(logits: Tensor, rows: Sequence[Sequence[int]]) -> list[LogLikelihood]:
    """The rows' tokens under logits that are padded on the right."""
    import torch

    width = logits.shape[1]
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=logits.device)
    logits = logits.float()
    own = logits.gather(-1, ids[..., None])[..., 0] - logits.logsumexp(-1)
    best = (logits.argmax(-1) == ids).tolist()
    return [
        LogLikelihood(sum(values[: len(row)]), len(row), all(greedy[: len(row)]))
        for row, values, greedy in zip(rows, own.tolist(), best, strict=True)
    ]


def _joined(first: LogLikelihood, rest: LogLikelihood) -> LogLikelihood:
    return LogLikelihood(
        first.total + rest.total, first.tokens + rest.tokens, first.greedy and rest.greedy
    )
