"""Answers written token by token, a batch at a time, every row by rules of its own.

A row draws from a generator seeded for it alone, so what it draws does not depend on its batch;
rows that are done leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.backends._loading import Loaded
from evalkit.backends._padded import Padded
from evalkit.backends._wire import cut
from evalkit.types import Sampling

if TYPE_CHECKING:
    from torch import Generator, Tensor

SHRINK = 0.75  # finished rows are dropped when so few others are left that it pays
TAIL = 8  # tokens looked at for a stop string, besides four for each of its characters


@dataclass(frozen=True, slots=True)
class Row:
    """A tokenised prompt, and how its answer is drawn."""

    ids: Sequence[int]
    sampling: Sampling  # its max_tokens fits the model's window
    seed: int | None = None


class Interrupted(Exception):
    """The model was closed while it wrote."""


def decode(loaded: Loaded, rows: Sequence[Row], closed: Callable[[], bool]) -> list[list[int]]:
    """The tokens written after each prompt, up to an end (included), a stop or the maximum."""
    import torch

    answers: list[list[int]] = [[] for _ in rows]
    draws = [_generator(row.seed) for row in rows]
    with torch.inference_mode():
        batch = Padded(loaded.model, [row.ids for row in rows])
        places = list(range(len(rows)))  # the row in each place of the batch
        going = set(places)
        while True:
            if closed():
                raise Interrupted("the model was closed")
            chosen = choose(
                batch.logits, [rows[at].sampling for at in places], [draws[at] for at in places]
            )
            for at, token in zip(places, chosen, strict=True):
                if at in going:
                    answers[at].append(token)
            going -= _over(loaded, rows, answers, going)
            if not going:
                return answers
            if len(going) <= SHRINK * len(places):
                kept = [place for place, at in enumerate(places) if at in going]
                batch.keep(kept)
                places, chosen = [places[place] for place in kept], [chosen[p] for p in kept]
            batch.feed(chosen)


def choose(logits: Tensor, samplings: Sequence[Sampling], draws: Sequence[Generator]) -> list[int]:
    """The next token of each row: the likeliest, or one drawn at its temperature within top_p."""
    import torch

    chosen: list[int] = logits.argmax(-1).tolist()
    drawn = [place for place, sampling in enumerate(samplings) if sampling.temperature > 0]
    if not drawn:
        return chosen
    heat = torch.tensor([samplings[place].temperature for place in drawn])
    top_p = torch.tensor([samplings[place].top_p for place in drawn])
    uniform = [torch.rand((), generator=draws[place], dtype=torch.float64) for place in drawn]
    found = draw(logits[drawn] / heat.to(logits)[:, None], top_p.to(logits), torch.stack(uniform))
    for place, token in zip(drawn, found, strict=True):
        chosen[place] = token
    return chosen


def draw(logits: Tensor, top_p: Tensor, uniform: Tensor) -> list[int]:
    """The token at which the cumulated probability passes `uniform`, in each row.

    Under top_p, the likeliest tokens that together reach it are all there is (Holtzman et al.,
    2020, The Curious Case of Neural Text Degeneration).
    """
    chances = logits.double().softmax(-1)
    order = None
    if bool((top_p < 1).any()):
        chances, order = chances.sort(-1, descending=True)
        before = chances.cumsum(-1) - chances
        beyond = before >= top_p[:, None].double()
        beyond[:, 0] = False  # the likeliest is always there
        chances = chances.masked_fill(beyond, 0.0)
    reached = chances.cumsum(-1)
    target = uniform.to(reached)[:, None] * reached[:, -1:]
    index = (reached <= target).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    found = index if order is None else order.gather(-1, index)
    tokens: list[int] = found[:, 0].tolist()
    return tokens


def _generator(seed: int | None) -> Generator:
    import torch

    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


def _over(
    loaded: Loaded, rows: Sequence[Row], answers: Sequence[Sequence[int]], going: set[int]
) -> set[int]:
    """The rows that have just written their last token."""
    over = {
        at
        for at in going
        if answers[at][-1] in loaded.ends or len(answers[at]) >= rows[at].sampling.max_tokens
    }
    watched = [at for at in going - over if rows[at].sampling.stop]
    if watched:
        tails = [answers[at][-_tail(rows[at].sampling.stop) :] for at in watched]
        texts = loaded.tokenizer.batch_decode(tails, skip_special_tokens=True)
        for at, text in zip(watched, texts, strict=True):
            # A tail may begin within a character, so only the whole text decides.
            if cut(text, rows[at].sampling.stop)[1]:
                whole = loaded.tokenizer.decode(answers[at], skip_special_tokens=True)
                if cut(whole, rows[at].sampling.stop)[1]:
                    over.add(at)
    return over


def _tail(stop: tuple[str, ...]) -> int:
    return TAIL + 4 * max(map(len, stop))
