"""The miniature conversations: what is said, what answers it well, and how answers go wrong.

A good answer opens as the occasion asks, names the person, speaks of their matter and closes
kindly.  Each flaw undoes one of these, so an answer with lighter flaws is the better one.  All
flaws are of form: whether the name is the right one is more than so small a judge can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from ._mini_words import KINDS, NAMES

SEED = 5
PER_OCCASION = 420

MATTERS = KINDS["animal"] + KINDS["tool"] + KINDS["job"] + KINDS["clothing"]
# occasion: what is said, in two wordings, and the parts of a good answer
OCCASIONS: dict[str, tuple[tuple[str, str], tuple[str, str, str]]] = {
    "lost": (
        ("I am {name}. I lost my {matter}.", "My {matter} is lost. I am {name}."),
        ("Sorry", "poor {matter}", "Keep looking."),
    ),
    "new": (
        ("I am {name}. I have a new {matter}.", "I have a new {matter}. I am {name}."),
        ("Congratulations", "a fine {matter}", "Enjoy it."),
    ),
    "help": (
        ("I am {name}. Can you help with my {matter}?", "Help me with my {matter}. I am {name}."),
        ("Sure", "show me the {matter}", "No trouble."),
    ),
    "thanks": (
        ("I am {name}. Thanks for the {matter}.", "Thanks for the {matter}. I am {name}."),
        ("Welcome", "keep the {matter}", "Good day."),
    ),
    "afraid": (
        ("I am {name}. I am afraid of the {matter}.", "The {matter} scares me. I am {name}."),
        ("Courage", "only a {matter}", "Stay calm."),
    ),
    "goodbye": (
        ("I am {name}. I must leave with the {matter}.", "I go with the {matter}. I am {name}."),
        ("Goodbye", "take the {matter}", "Travel well."),
    ),
}


@dataclass(frozen=True)
class Talk:
    """One thing that somebody says."""

    occasion: str
    name: str
    matter: str

    @property
    def key(self) -> str:
        """The same for all wordings."""
        return f"{self.occasion} {self.name} {self.matter}"

    def said(self) -> list[str]:
        """What the person may say."""
        return [
            text.format(name=self.name, matter=self.matter) for text in OCCASIONS[self.occasion][0]
        ]


def talks() -> Iterator[Talk]:
    """Every occasion with many people and matters."""
    draw = Random(SEED)
    space = [(name, matter) for name in NAMES for matter in MATTERS]
    for occasion in OCCASIONS:
        for name, matter in draw.sample(space, PER_OCCASION):
            yield Talk(occasion, name, matter)


def answer(talk: Talk, flaws: tuple[str, ...] = (), chance: Random | None = None) -> str:
    """An answer that has these flaws and no others."""
    chance = chance or Random(0)
    opening, body, closing = OCCASIONS[talk.occasion][1]
    name = "" if "no name" in flaws else f" {talk.name}"
    head = "" if "no opening" in flaws else f"{opening}{name}, "
    tail = "" if "no closing" in flaws else f" {closing}"
    text = f"{head}{body.format(matter=talk.matter)}.{tail}"
    for flaw in flaws:
        if flaw in GARBLED:
            text = " ".join(GARBLED[flaw](text.split(), chance))
    return text


GARBLED: dict[str, Callable[[list[str], Random], list[str]]] = {
    "stuttered": lambda words, chance: [w for w in words for _ in range(chance.randint(1, 3))],
    "shuffled": lambda words, chance: chance.sample(words, len(words)),
    "cut": lambda words, chance: words[: chance.randint(0, len(words) // 2)],
}
# flaw: what an answer loses by it
COSTS = {
    "no closing": 1,
    "no name": 2,
    "no opening": 3,
    "stuttered": 5,
    "shuffled": 6,
    "cut": 7,
}


def flawed(talk: Talk, chance: Random) -> tuple[int, str]:
    """An answer with none to two flaws drawn by chance, and what they cost."""
    flaws = tuple(chance.sample(list(COSTS), chance.choice((0, 1, 1, 2))))
    return sum(COSTS[flaw] for flaw in flaws), answer(talk, flaws, chance)


def reference(talk: Talk) -> str:
    """A fair answer with one small flaw, so that a good one beats it and few tie with it."""
    return answer(talk, ("no closing",))
