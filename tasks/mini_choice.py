"""Which of four things is of a given kind: multiple choice, answered by the word itself.

Generated.  The options are compared by their log-likelihood after the question, so no letter
has to be learned; a model that can only write is graded by the word that it writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from evalkit import Response, Sample, Sampling, Score, Task

from ._mini import evaluation, shuffled, training, user
from ._mini_words import KINDS

SEED = 2
PER_WORD = 24
WORDINGS = ("Which is of kind {kind}: {options}?", "{options}: which is of kind {kind}?")
ONE_IN = 9


def problems() -> Iterator[Sample]:
    """Each thing among several draws of three things of other kinds."""
    draw = Random(SEED)
    seen: set[str] = set()
    for _ in range(PER_WORD):
        for kind, words in KINDS.items():
            for word in words:
                others = draw.sample([other for other in KINDS if other != kind], 3)
                wrong = sorted(draw.choice(KINDS[other]) for other in others)
                key = f"{kind} {word} / {' '.join(wrong)}"
                if key not in seen:
                    seen.add(key)
                    yield from wordings(key, kind, [word, *wrong])


def wordings(key: str, kind: str, options: list[str]) -> Iterator[Sample]:
    """One problem in all its wordings; the first of the options is the right one."""
    for number, wording in enumerate(shuffled(key, WORDINGS)):
        shown = tuple(shuffled(f"{key} {number}", options))
        text = wording.format(kind=kind, options=", ".join(shown))
        yield Sample(
            f"{key} / {number}",
            user(text),
            options[0],
            choices=shown,
            stratum=kind,
            cluster=key,
        )


def score(sample: Sample, response: Response) -> Score:
    """Right when the likeliest option, or else the first option written, is the expected one."""
    answer: str | None = None
    if response.loglikelihoods:
        best = max(range(len(sample.choices)), key=response.loglikelihoods.__getitem__)
        answer = sample.choices[best]
    else:
        words = response.text.lower().replace(".", " ").replace(",", " ").split()
        answer = next((word for word in words if word in sample.choices), None)
    return Score(float(answer == sample.target), answer)


def solution(sample: Sample) -> str:
    """The word."""
    return str(sample.target)


TASKS = (
    Task(
        "mini-choice",
        domain="knowledge",
        version=1,
        size=392,
        samples=evaluation(problems, ONE_IN),
        train=training(problems, ONE_IN),
        score=score,
        solution=solution,
        ask="loglikelihood",
        sampling=Sampling(max_tokens=4),
    ),
)
