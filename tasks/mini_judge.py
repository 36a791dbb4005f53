"""Judging: which of two answers of the small talk is the better one.

Generated from the labelled pairs of `mini-chat`, split as its talks are: its training split
makes a small judge, its evaluation split is what that judge is audited on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evalkit import Response, Rows, Sample, Sampling, Score, Task

from .mini_chat import ask, labelled_pairs, read


def pairs(held: bool) -> Callable[[Rows], Iterator[Sample]]:
    """The held-out pairs, or the others, as questions to a judge."""

    def samples(_: Rows) -> Iterator[Sample]:
        for number, pair in enumerate(labelled_pairs(held)):
            prompt = ask(pair.sample, pair.first, pair.second)
            yield Sample(
                f"{pair.sample.cluster} / {number}",
                prompt,
                pair.winner,
                cluster=pair.sample.cluster,
            )

    return samples


def score(sample: Sample, response: Response) -> Score:
    """Right when the better answer is named."""
    answer = read(response).label or None
    return Score(float(answer == sample.target), answer)


def solution(sample: Sample) -> str:
    """The word for the better answer."""
    return str(sample.target)


TASKS = (
    Task(
        "mini-judge",
        domain="judging",
        version=1,
        size=1214,
        samples=pairs(held=True),
        train=pairs(held=False),
        score=score,
        solution=solution,
        sampling=Sampling(max_tokens=4),
    ),
)
