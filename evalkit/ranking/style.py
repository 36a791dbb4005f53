"""How two answers differ in style: what a judge may reward besides content."""

from __future__ import annotations

import re
from typing import NamedTuple

FEATURES = ("length", "headers", "lists", "bold")
MARKS = (
    re.compile(r"^#{1,6} ", re.MULTILINE),
    re.compile(r"^\s*(?:[-*+]|\d+\.) ", re.MULTILINE),
    re.compile(r"\*\*[^*\n]+\*\*"),
)


class Counts(NamedTuple):
    """How long an answer is, in whatever unit, and how often it has each mark."""

    length: float
    headers: float
    lists: float
    bold: float


def style(first: str, second: str) -> tuple[float, ...]:
    """The `contrasts` of two texts."""
    return contrasts(counts_of(first), counts_of(second))


def counts_of(text: str) -> Counts:
    """The counts of a text, its length in characters."""
    headers, lists, bold = (float(len(mark.findall(text))) for mark in MARKS)
    return Counts(float(len(text)), headers, lists, bold)


def contrasts(first: Counts, second: Counts) -> tuple[float, ...]:
    """(a − b)/(a + b) of the two lengths, and of the densities of headers, lists and bold text.

    From −1 to 1, 0 where both are alike or have none; as `FEATURES` names them.
    """
    whole, other = (
        [each.length, *(count / max(each.length, 1) for count in each[1:])]
        for each in (first, second)
    )
    return tuple(_contrast(a, b) for a, b in zip(whole, other, strict=True))


def _contrast(a: float, b: float) -> float:
    return (a - b) / (a + b) if a + b > 0 else 0.0
