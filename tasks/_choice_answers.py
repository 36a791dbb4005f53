"""Which option an answer chooses: by its letter, by its text, or by what is likeliest."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from string import ascii_uppercase as LETTERS
from typing import Any

from evalkit.exams.duplicates import normalised
from evalkit.types import Response, Sample, Score

STATED = re.compile(
    r"(?i:answer)(?:\s++(?i:is))?+\s*+:?+[\s*$(]*+(?:\\boxed\{)?+(?:\\text\{)?+([A-Z])(?![A-Za-z0-9'])"
    r"|\\boxed\{(?:\\text\{)?+\(?+([A-Z])\)?+\}"
)
ALONE = re.compile(r"[\s*(\[]*+([A-Z])(?:[).:\]*]|\s*+\Z)")


@dataclass(frozen=True)
class Choice:
    """The option chosen is the right one."""

    def expected(self, target: Any, choices: tuple[str, ...]) -> int:
        """The place of the right option, from 0."""
        if isinstance(target, int) and not isinstance(target, bool):
            if 0 <= target < len(choices):
                return target
            raise ValueError(f"is {target}, but options are counted from 0 to {len(choices) - 1}")
        if isinstance(target, str):
            if target in choices:
                return choices.index(target)
            if len(target) == 1 and target in LETTERS[: len(choices)]:
                return LETTERS.index(target)
        raise ValueError(
            f"is {target!r}: give an option's text, its letter, or its place as a number from 0"
        )

    def __call__(self, sample: Sample, response: Response) -> Score:
        """Right when that option is the likeliest, or the one that the answer names."""
        options = sample.metadata["options"]
        if response.loglikelihoods:
            likely = response.loglikelihoods
            place: int | None = max(range(len(likely)), key=likely.__getitem__)
        else:
            place = chosen(response.text, options)
        return Score(float(place == sample.target), None if place is None else LETTERS[place])

    def solution(self, sample: Sample) -> str:
        """The letter of the right option."""
        return f"Answer: {LETTERS[sample.target]}"


def chosen(text: str, options: list[str]) -> int | None:
    """The place of the option that an answer names.

    The last letter it states, else the letter that it begins with, else the option that it is.
    """
    stated = deque(STATED.finditer(text), maxlen=1)
    found = stated[0] if stated else ALONE.match(text)
    if found:
        place = LETTERS.index(next(group for group in found.groups() if group))
        return place if place < len(options) else None
    plain = normalised(text[:10_000]).rstrip(".")
    same = [i for i, option in enumerate(options) if normalised(option).rstrip(".") == plain]
    return same[0] if len(same) == 1 else None
