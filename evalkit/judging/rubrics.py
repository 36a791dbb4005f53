"""Rubrics by kind: two answers side by side in both orders, or one answer by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from evalkit.ranking.style import style
from evalkit.types import Prompt, Response, Sample, View

VERDICT = re.compile(r"\[\[(?:[ABC]|[AB][<>=]{1,2}[AB]|rating)\]\]|Rating: \[\[")
MARK = 15
"""A line of a prompt that is shorter may be in an honest answer."""

PLACEHOLDER = re.compile(r"\{(\w+)\}")
Ask = Callable[[Sample, str, str], Prompt]
"""The prompt of a sample, the answer shown first and the one shown second."""


Views = Callable[[Sample, Response, Response], Sequence[View]]


def both_orders(ask: Ask, template: str = "") -> Views:
    """The views of an answer beside another one; none where the two are one text."""

    def views(sample: Sample, answer: Response, other: Response) -> Sequence[View]:
        if answer.text == other.text:
            return ()
        return (
            View("first", ask(sample, answer.text, other.text), template),
            View("second", ask(sample, other.text, answer.text), template, turned=True),
        )

    return views


def target(sample: Sample) -> Response:
    """The sample's target, as the answer that others are held against."""
    return Response(str(sample.target))


def side_by_side(sample: Sample, answer: Response, other: Response) -> Mapping[str, Any]:
    """How an answer differs from another one in length and style."""
    return beside(answer.text, other.text)


def beside(own: str, other: str) -> dict[str, Any]:
    """How two texts differ: their lengths in characters, and their style."""
    return {"length": [len(own), len(other)], "style": list(style(own, other))}


def forges(answer: Response, templates: Iterable[str]) -> bool:
    """Whether an answer holds a verdict, or a line of what a judge is told around it."""
    texts = (answer.text, *answer.turns)
    if any(VERDICT.search(text) for text in texts):
        return True
    marks = {
        line.strip()
        for template in templates
        for line in template.splitlines()
        if len(line.strip()) >= MARK and "{" not in line
    }
    return any(mark in text for mark in marks for text in texts)


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with every placeholder replaced at once: what is put in is not looked into."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)
