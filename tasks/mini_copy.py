"""Repeating a few words: what a model has to be able to do before it can do anything else.

Generated.  It serves a base model's training; as a benchmark it is soon saturated.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from evalkit import Response, Sample, Sampling, Score, Task

from ._mini import evaluation, training, user
from ._mini_words import NAMES, WORDS

SEED = 1
COUNT = 3000
ONE_IN = 9


def problems() -> Iterator[Sample]:
    """Between one and five words, and a number, to be repeated."""
    draw = Random(SEED)
    for number in range(COUNT):
        items = [*draw.sample(WORDS + NAMES, draw.randint(1, 5)), str(draw.randrange(100))]
        text = " ".join(draw.sample(items, len(items)))
        key = " ".join(sorted(text.split()))
        yield Sample(str(number), user(f"Repeat: {text}"), text, cluster=key)


def score(sample: Sample, response: Response) -> Score:
    """Right when the words are the same in the same order."""
    answer = " ".join(response.text.split())
    return Score(float(answer == sample.target), answer or None)


def solution(sample: Sample) -> str:
    """The words."""
    return str(sample.target)


TASKS = (
    Task(
        "mini-copy",
        domain="copying",
        version=1,
        size=297,
        samples=evaluation(problems, ONE_IN),
        train=training(problems, ONE_IN),
        score=score,
        solution=solution,
        sampling=Sampling(max_tokens=16),
    ),
)
