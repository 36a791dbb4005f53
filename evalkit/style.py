"""How two answers differ in style: what a judge may reward besides content."""

from __future__ import annotations

import re

FEATURES = ("length", "headers", "lists", "bold")
MARKS = (
    re.compile(r"^#{1,6} ", re.MULTILINE),
    re.compile(r"^\s*(?:[-*+]|\d+\.) ", re.MULTILINE),
    re.compile(r"\*\*[^*\n]+\*\*"),
)


def style(first: str, second: str) -> tuple[float, ...]:
    """(a − b)/(a + b) of the two lengths, and of the densities of headers, lists and bold text.

    From −1 to 1, 0 where both are alike or have none; as `FEATURES` names them.
    """
    texts = (first, second)
    lengths = [float(len(text)) for text in texts]
    densities = [[len(mark.findall(text)) / max(len(text), 1) for text in texts] for mark in MARKS]
    return tuple(_contrast(a, b) for a, b in [lengths, *densities])


def _contrast(a: float, b: float) -> float:
    return (a - b) / (a + b) if a + b > 0 else 0.0
