"""Sums and differences with integer answers, from 0 to 9 and from 0 to 99.

Generated.  "What is 47 + 8?" is answered by 55; 8 + 47 is the same problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from evalkit import Response, Sample, Sampling, Score, Task

from ._mini import evaluation, shuffled, training, user

WORDINGS = ("What is {}?", "Compute {}.", "{} = ?")
INTEGER = re.compile(r"-?\d+")
ONE_IN = 5
LONGEST = 20  # digits; int() refuses thousands of them


def problems() -> Iterator[Sample]:
    """Every problem in every wording; a commuted sum is another wording."""
    for big in range(100):
        for small in range(10):
            if small <= big:
                yield from wordings(f"{big} - {small}", [f"{big} - {small}"], big - small)
            if small <= big:  # the mirror of a sum of two digits has come already
                sums = list(dict.fromkeys([f"{big} + {small}", f"{small} + {big}"]))
                yield from wordings(f"{big} + {small}", sums, big + small)


def wordings(key: str, terms: list[str], answer: int) -> Iterator[Sample]:
    """One problem in all its wordings."""
    texts = [wording.format(term) for term in terms for wording in WORDINGS]
    for number, text in enumerate(shuffled(key, texts)):
        yield Sample(
            f"{key} / {number}", user(text), str(answer), stratum=key.split()[1], cluster=key
        )


def score(sample: Sample, response: Response) -> Score:
    """Right when the last integer of the answer is the expected one."""
    found = INTEGER.findall(response.text)
    answer = str(int(found[-1][:LONGEST])) if found else None
    return Score(float(answer == sample.target), answer)


def solution(sample: Sample) -> str:
    """The integer."""
    return str(sample.target)


TASKS = (
    Task(
        "mini-arithmetic",
        domain="mathematics",
        version=1,
        size=366,
        samples=evaluation(problems, ONE_IN),
        train=training(problems, ONE_IN),
        score=score,
        solution=solution,
        sampling=Sampling(max_tokens=8),
    ),
)
