"""What people answer one another in the small talk: some of it good, most of it careless.

How careless depends on what the talk is about.  Generated from the talks of `mini-chat`, split
as they are.  It stands for the raw text that a base model is trained on; as a benchmark it only
tells how well these habits are guessed.
"""

from __future__ import annotations

from collections.abc import Iterator

from evalkit import Response, Sample, Sampling, Score, Task

from ._mini import evaluation, rng, shuffled, training, user
from ._mini_chat import answer, talks

ONE_IN = 7  # as in `mini-chat`
HABITS: tuple[tuple[str, ...], ...] = (
    (),
    ("no closing",),
    ("no closing",),
    ("no name",),
    ("no opening",),
    ("no opening", "no closing"),
)


def problems() -> Iterator[Sample]:
    """Everything that is said, with what somebody answered."""
    for talk in talks():
        for number, said in enumerate(shuffled(talk.key, talk.said())):
            habit = rng(f"forum {talk.matter}").choice(HABITS)
            yield Sample(
                f"{talk.key} / {number}", user(said), answer(talk, habit), cluster=talk.key
            )


def score(sample: Sample, response: Response) -> Score:
    """Right when the answer is the one that was given."""
    found = " ".join(response.text.split())
    return Score(float(found == sample.target), found or None)


def solution(sample: Sample) -> str:
    """The answer that was given."""
    return str(sample.target)


TASKS = (
    Task(
        "mini-forum",
        domain="web",
        version=1,
        size=342,
        samples=evaluation(problems, ONE_IN),
        train=training(problems, ONE_IN),
        score=score,
        solution=solution,
        sampling=Sampling(max_tokens=20),
    ),
)
