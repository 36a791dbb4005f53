"""Additions by the thousand: the questions on which harnesses are timed.

EVALKIT_SUMS says how many; the same ones every time.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator

from evalkit import Response, Rows, Sample, Sampling, Score, Task

INTEGER = re.compile(r"-?\d+")


def questions(count: int) -> Iterator[tuple[str, str]]:
    """So many different additions, each with its sum."""
    chance = random.Random(0)
    for number in range(count):
        one, other = number + 10, chance.randrange(1_000)
        yield f"What is {one} plus {other}? Answer with the number only.", str(one + other)


def samples(_: Rows) -> Iterator[Sample]:
    """The additions."""
    for number, (question, target) in enumerate(questions(int(os.environ["EVALKIT_SUMS"]))):
        yield Sample(str(number), question, target)


def score(sample: Sample, response: Response) -> Score:
    """Right when the last integer is the sum."""
    found = INTEGER.findall(response.text)
    answer = found[-1] if found else None
    return Score(float(answer == sample.target), answer)


def solution(sample: Sample) -> str:
    """The sum."""
    return str(sample.target)


SAMPLING = Sampling(max_tokens=16)
TASKS = (Task("sums", "mathematics", 1, samples, score, sampling=SAMPLING, solution=solution),)
