"""Readers of verdicts: what a judge wrote, or how likely its words were, to an opinion.

Each is strict: a verdict beside another one that excludes it is contradictory, and something else
in the place of a verdict is garbage.  Judges' texts are model output: they are searched by
patterns of linear time, parsed as JSON at most, and never run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from evalkit.judging.hearing import CONTRADICTORY, GARBAGE
from evalkit.types import Opinion, Response

Reader = Callable[[Response], Opinion]

BRACKETED = re.compile(r"\[\[([^\[\]\n]{1,40})\]\]")
SINGLE = re.compile(r"\[([^\[\]\n]{1,40})\]")
NUMBER = re.compile(r"\d{1,6}\.?\d{0,6}")
BY_WORD = " (by its word)"
"""Ends the label of a verdict that was weighed by nothing but the word that was said."""

LEVELS: Mapping[str, tuple[float, float]] = {
    "A>>B": (1.0, 3.0),
    "A>B": (1.0, 1.0),
    "A=B": (0.5, 1.0),
    "B>A": (0.0, 1.0),
    "B>>A": (0.0, 3.0),
    "A<<B": (0.0, 3.0),
    "A<B": (0.0, 1.0),
    "B=A": (0.5, 1.0),
    "B<A": (1.0, 1.0),
    "B<<A": (1.0, 3.0),
}
"""Five levels: what the first answer is worth, and the weight of the verdict."""

SIDES: Mapping[str, tuple[float, float]] = {
    "A": (1.0, 1.0),
    "B": (0.0, 1.0),
    "C": (0.5, 1.0),
    "TIE": (0.5, 1.0),
}


def labels(
    known: Mapping[str, tuple[float, float]], *, last: bool = False, loose: bool = False
) -> Reader:
    """Reads `[[label]]`; with `last` the last one holds, whatever was said before.

    With `loose`, `[label]` is read where there is none in double brackets.
    """

    def read(response: Response) -> Opinion:
        said = [each.strip().upper() for each in BRACKETED.findall(response.text)]
        found = [each for each in said if each in known]
        if loose and not found:
            singles = (each.strip().upper() for each in SINGLE.findall(response.text))
            found = [each for each in singles if each in known]
        if not found:
            return Opinion(label=said[-1] if said else "", failure=GARBAGE if said else "")
        if len({known[each] for each in found}) > 1 and not last:
            return Opinion(label=" ".join(dict.fromkeys(found)), failure=CONTRADICTORY)
        value, weight = known[found[-1]]
        return Opinion(value, found[-1], weight)

    return read


def rating(scale: tuple[float, float]) -> Reader:
    """Reads `[[number]]`, or `[number]` where there is none, as FastChat does."""

    def read(response: Response) -> Opinion:
        for pattern in (BRACKETED, SINGLE):
            said = [each for each in pattern.findall(response.text) if NUMBER.fullmatch(each)]
            if len({float(each) for each in said}) > 1:
                return Opinion(label=" ".join(dict.fromkeys(said)), failure=CONTRADICTORY)
            if said:
                return _graded(float(said[0]), said[0], scale)
        return Opinion(failure=GARBAGE if BRACKETED.search(response.text) else "")

    return read


def likeliest(first: str, second: str) -> Reader:
    """Weighs two tokens by how likely each was; by the word that was said where nobody tells.

    The value is p(first)/(p(first) + p(second)) at the first place, a token that is not among
    the likeliest counting as impossible.
    """

    def read(response: Response) -> Opinion:
        if response.logprobs:
            top = response.logprobs[0]
            odds = [math.exp(top[word]) if word in top else 0.0 for word in (first, second)]
            if sum(odds) > 0:
                return Opinion(odds[0] / sum(odds), response.text.strip()[:20])
            return Opinion(failure="judge_no_verdict")
        words = set(re.findall(r"\w+", response.text[:10_000]))
        said = [word for word in (first, second) if word in words]
        if len(said) > 1:
            return Opinion(label=" ".join(said), failure=CONTRADICTORY)
        return Opinion(float(said[0] == first), said[0] + BY_WORD) if said else Opinion()

    return read


def verdict_json(scale: tuple[float, float] | None) -> Reader:
    """Reads `{"verdict": "A" | "B" | "tie"}`, or with a scale `{"score": number}`."""
    name = "score" if scale else "verdict"

    def read(response: Response) -> Opinion:
        found = _object(response.text)
        if found is None:
            return Opinion(failure=GARBAGE if "{" in response.text else "")
        said = found.get(name)
        if scale:
            if isinstance(said, int | float) and not isinstance(said, bool):
                return _graded(float(said), str(said), scale)
            return Opinion(failure=GARBAGE)
        label = str(said).strip().upper()
        if label not in SIDES:
            return Opinion(label=label[:40], failure=GARBAGE)
        return Opinion(SIDES[label][0], label)

    return read


def either(*readers: Reader) -> Reader:
    """The first reader that finds a verdict; else what the first of them says is wrong."""

    def read(response: Response) -> Opinion:
        found = [reader(response) for reader in readers]
        heard = (opinion for opinion in found if opinion.value is not None)
        return next(heard, next((o for o in found if o.failure), found[0]))

    return read


def _graded(number: float, label: str, scale: tuple[float, float]) -> Opinion:
    low, high = scale
    if low <= number <= high:
        return Opinion(number, label)
    return Opinion(label=label, failure=GARBAGE)


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object in a text, with or without a fence around it."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        found = orjson.loads(text[start : end + 1])
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
