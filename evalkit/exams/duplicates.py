"""Questions that a benchmark asks more than once: one piece of evidence, not two.

Two items are the same question if their words are, whatever the case, the spacing and the order of
the options.  Without options the expected answer has to be the same as well, and whatever the
scorer is told: a prompt may be no more than an instruction.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from itertools import pairwise
from typing import Any, TypeVar

from evalkit.identity.identity import digest, question_of
from evalkit.storage.records import sort
from evalkit.types import Sample

Item = TypeVar("Item", bound=Hashable)
SKETCH_BYTES = 8
Questions = Callable[[], Iterable[tuple[Item, Sample]]]
"""Reads the questions of a task; called a second time where some come again."""


def again(questions: Questions[Item]) -> dict[Item, str]:
    """The items whose question comes more than once, each with the cluster that they are.

    Those that have a cluster of their own are left to it.
    """
    sketches = sort(
        SKETCH_BYTES, (_sketch(sample) for _, sample in questions() if not sample.cluster)
    )
    repeated = {one for one, other in pairwise(sketches) if one == other}
    if not repeated:
        return {}
    named = {
        item: _question(sample)
        for item, sample in questions()
        if not sample.cluster and _sketch(sample) in repeated
    }
    count = Counter(named.values())
    return {item: name for item, name in named.items() if count[name] > 1}


def _sketch(sample: Sample) -> bytes:
    """The same for equal questions of one process, and hardly ever for others."""
    options = tuple(sorted(map(normalised, sample.choices)))
    found = hash((normalised(question_of(sample)), options))
    return found.to_bytes(SKETCH_BYTES, "big", signed=True)


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
