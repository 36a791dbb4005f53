"""Small talk, judged pairwise against a stored reference answer.

Generated.  A person says who they are and what became of what; the reference answers with one
small flaw.  The judge is audited on held-out pairs of answers whose flaws are known.
"""

from __future__ import annotations

from collections.abc import Iterator

from evalkit import LabelledPair, Message, Opinion, Response, Rubric, Sample, Sampling, Task
from evalkit.judging.rubrics import both_orders, side_by_side, target

from ._mini import digest, evaluation, held_out, rng, shuffled, text_of, training, user
from ._mini_chat import Talk, answer, flawed, reference, talks

WORTH = {"first": 1.0, "second": 0.0, "tie": 0.5}
ONE_IN = 7
PAIRS_PER_TALK = 4
QUESTION = "Said: {said} First: {first} Second: {second} Better, first or second?"


def problems() -> Iterator[Sample]:
    """Everything that is said, in each wording."""
    for talk in talks():
        for number, said in enumerate(shuffled(talk.key, talk.said())):
            yield _sample(talk, number, said)


def _sample(talk: Talk, number: int, said: str) -> Sample:
    return Sample(
        f"{talk.key} / {number}",
        user(said),
        reference(talk),
        stratum=talk.occasion,
        cluster=talk.key,
        metadata={"good": answer(talk)},
    )


def solution(sample: Sample) -> str:
    """The answer without a flaw."""
    return str(sample.metadata["good"])


def ask(sample: Sample, first: str, second: str) -> list[Message]:
    """What the judge is asked about two answers."""
    return user(QUESTION.format(said=text_of(sample), first=first, second=second))


def read(response: Response) -> Opinion:
    """The judge's verdict: the first of its words that is one."""
    words = response.text.lower().replace(".", " ").split()
    found = next((word for word in words if word in WORTH), None)
    return Opinion() if found is None else Opinion(WORTH[found], found)


def labelled_pairs(held: bool) -> Iterator[LabelledPair]:
    """Pairs of answers of unequal flaws, to the held-out talks or to the others."""
    for talk in talks():
        if held_out(talk.key, ONE_IN) is held:
            for number in range(PAIRS_PER_TALK):
                chance = rng(f"pair {talk.key} {number}")
                pair = _pair(talk, chance.choice(talk.said()), chance.getrandbits(32))
                if pair is not None:
                    yield pair


def _pair(talk: Talk, said: str, seed: int) -> LabelledPair | None:
    chance = rng(str(seed))
    sample = _sample(talk, digest(said), said)
    (one, first), (other, second) = flawed(talk, chance), flawed(talk, chance)
    if chance.random() < 0.5:  # what the judge meets when it grades
        one, first = 1, reference(talk)
    if one == other or first == second:
        return None
    if chance.random() < 0.5:
        one, first, other, second = other, second, one, first
    return LabelledPair(sample, first, second, "first" if one < other else "second")


def audit() -> Iterator[LabelledPair]:
    """The held-out labelled pairs."""
    return labelled_pairs(held=True)


TASKS = (
    Task(
        "mini-chat",
        domain="chat",
        version=1,
        size=342,
        samples=evaluation(problems, ONE_IN),
        train=training(problems, ONE_IN),
        rubric=Rubric(
            1,
            both_orders(ask, QUESTION),
            read,
            Sampling(max_tokens=4),
            against=target,
            note=side_by_side,
            audit=audit,
        ),
        solution=solution,
        sampling=Sampling(max_tokens=20),
    ),
)
