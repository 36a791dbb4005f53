"""Questions that a benchmark asks more than once: one piece of evidence, not two.

Two items are the same question if their words are, whatever the case, the spacing and the order of
the options.  Without options the expected answer has to be the same as well, and whatever the
scorer is told: a prompt may be no more than an instruction.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

from evalkit.identity import digest, question_of
from evalkit.types import Sample

Item = TypeVar("Item", bound=Hashable)


def clusters(items: Mapping[Item, Sample]) -> dict[Item, str]:
    """The cluster of each item: the task's own, else that of its question where it comes again."""
    alone = {item: sample for item, sample in items.items() if not sample.cluster}
    questions = {item: _question(sample) for item, sample in alone.items()}
    times = Counter(questions.values())
    again = {item: name for item, name in questions.items() if times[name] > 1}
    return {item: sample.cluster or again.get(item, "") for item, sample in items.items()}


def _question(sample: Sample) -> str:
    """A hash of all that makes the question."""
    parts: list[Any] = [
        normalised(question_of(sample)),
        sorted(map(normalised, sample.choices)),
        [dict(tool) for tool in sample.tools],
    ]
    if not sample.choices:
        parts += [sample.target, dict(sample.metadata)]
    return digest(parts).hex()[:16]


def normalised(text: str) -> str:
    """The text without differences of case, spacing and encoding."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
