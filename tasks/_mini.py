"""What the miniature benchmarks share: the split by content, and the two halves it gives.

A generator yields every wording of every problem, each with its problem's key as `cluster`.
The hash of that key alone decides the split, so all wordings of a problem fall on one side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from random import Random
from typing import TypeVar

from evalkit import Message, Rows, Sample

T = TypeVar("T")
Generator = Callable[[], Iterable[Sample]]


def digest(text: str) -> int:
    """A number that depends on the text alone, on every machine."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")


def held_out(key: str, one_in: int) -> bool:
    """Whether a problem belongs to the evaluation split."""
    return digest(f"split {key}") % one_in == 0


def rng(key: str) -> Random:
    """A random generator of the key's own, so that no choice depends on another."""
    return Random(digest(key))


def shuffled(key: str, items: Sequence[T]) -> list[T]:
    """The items in an order that depends on the key alone."""
    return rng(key).sample(items, len(items))


def user(text: str) -> list[Message]:
    """A conversation of one question."""
    return [{"role": "user", "content": text}]


def text_of(sample: Sample) -> str:
    """The question of a sample made by `user`."""
    prompt = sample.rendered()
    return prompt if isinstance(prompt, str) else prompt[0]["content"]


def evaluation(generate: Generator, one_in: int) -> Callable[[Rows], Iterator[Sample]]:
    """The evaluation split: each held-out problem once, in its first wording."""

    def samples(_: Rows) -> Iterator[Sample]:
        seen: set[str] = set()
        for sample in generate():
            if sample.cluster not in seen and held_out(sample.cluster, one_in):
                seen.add(sample.cluster)
                yield sample

    return samples


def training(generate: Generator, one_in: int) -> Callable[[Rows], Iterator[Sample]]:
    """The training split: every wording of the problems that are not held out."""

    def train(_: Rows) -> Iterator[Sample]:
        return (sample for sample in generate() if not held_out(sample.cluster, one_in))

    return train
