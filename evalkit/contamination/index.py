"""What is looked for: the n-grams and the whole questions of some exams, in arrays.

An n-gram that many items of an exam share is of its template and tells nothing: it is left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evalkit.contamination.grams import Hashes, hashed, numbered
from evalkit.contamination.words import plain, words
from evalkit.exams.exam import Exam
from evalkit.identity import identity
from evalkit.types import Prompt, Sample

TEMPLATE_ITEMS, TEMPLATE_SHARE = 10, 0.01
"""An n-gram in more items than either is of a template."""

HEAD = 24
FILTER_BITS = 26
"""The filter before the search has at most so many places, a byte each."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of an exam: its n-grams, as places in the index, and its whole texts."""

    item: bytes
    id: str
    grams: NDArray[np.int32]
    exact: tuple[int, ...]


@dataclass
class Index:
    """The n-grams and texts of all items, for looking up."""

    vocabulary: dict[str, int] = field(default_factory=dict)
    grams: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    exact: dict[bytes, int] = field(default_factory=dict)
    heads: set[str] = field(default_factory=set)
    filter: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(1, np.bool_))

    def gram_places(self, found: Hashes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which of these n-grams are in the index, and where there."""
        maybe = np.flatnonzero(self.filter[self._spots(found)])
        places = np.searchsorted(self.grams, found[maybe])
        places[places == len(self.grams)] = 0
        there = self.grams[places] == found[maybe] if len(self.grams) else places < 0
        return maybe[there], places[there]

    def exact_place(self, text: str) -> int:
        """Where the whole text is in the index; -1 where it is not."""
        if head(text) not in self.heads:
            return -1
        return self.exact.get(text_hash(plain(text)), -1)

    def sealed(self, grams: Hashes) -> None:
        """Takes the sorted n-grams."""
        self.grams = grams
        bits = min(FILTER_BITS, max(10, int(len(grams) * 8).bit_length()))
        self.filter = np.zeros(1 << bits, np.bool_)
        self.filter[self._spots(grams)] = True

    def _spots(self, found: Hashes) -> Hashes:
        return found >> np.uint64(64 - (len(self.filter).bit_length() - 1))


def head(text: str) -> str:
    """The beginning of a text as `plain` would have it, which is cheap to know."""
    return plain(text.lstrip()[:200]).replace(" ", "")[:HEAD]


def text_hash(text: str) -> bytes:
    """A hash of a plain text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:12]


def indexed(exams: Sequence[Exam]) -> tuple[Index, list[list[Entry]]]:
    """The index of all items of some exams, and of each exam its items.

    Raises DataError where an exam's rows are not at hand.
    """
    index = Index()
    drawn = [list(_hashed_items(exam, index)) for exam in exams]
    every = [grams for items in drawn for *_, grams, _ in items]
    index.sealed(np.unique(np.concatenate(every)) if every else np.empty(0, np.uint64))
    return index, [
        [
            Entry(item, name, np.searchsorted(index.grams, grams).astype(np.int32), exact)
            for item, name, grams, exact in items
        ]
        for items in drawn
    ]


Hashed = tuple[bytes, str, Hashes, tuple[int, ...]]


def _hashed_items(exam: Exam, index: Index) -> Iterable[Hashed]:
    found: list[Hashed] = []
    for sample in exam.every():
        exact = []
        for text in map(plain, _wholes(sample)):
            index.heads.add(head(text))
            exact.append(index.exact.setdefault(text_hash(text), len(index.exact)))
        grams = [_grams(text, index) for text in _pieces(sample)]
        whole = np.unique(np.concatenate(grams))
        found.append((identity.item(exam.task, sample), sample.id, whole, tuple(exact)))
    return _without_templates(found)


def _without_templates(found: list[Hashed]) -> list[Hashed]:
    if not found:
        return found
    values, times = np.unique(np.concatenate([grams for *_, grams, _ in found]), return_counts=True)
    shared = values[times > max(TEMPLATE_ITEMS, TEMPLATE_SHARE * len(found))]
    if not len(shared):
        return found
    return [
        (item, name, grams[~np.isin(grams, shared)], exact) for item, name, grams, exact in found
    ]


def _grams(text: str, index: Index) -> Hashes:
    tokens = words(text)
    for token in tokens:
        index.vocabulary.setdefault(token, len(index.vocabulary) + 1)
    return hashed(np.array(numbered(tokens, index.vocabulary), np.int64))[0]


def _pieces(sample: Sample) -> Iterator[str]:
    """What of an item is looked for in parts: its question, and each of its options."""
    yield identity.question_of(sample)
    yield from sample.choices


def _wholes(sample: Sample) -> Iterator[str]:
    """What of an item is looked for as a whole: its question, and its prompt."""
    prompt = sample.rendered()
    if sample.question:
        yield sample.question
    yield from talk(prompt)


def talk(prompt: Prompt) -> Iterator[str]:
    """A prompt as one text; of a single question, that besides."""
    if isinstance(prompt, str):
        yield prompt
        return
    said = [str(turn.get("content") or "") for turn in prompt]
    if Counter(turn.get("role") for turn in prompt)["user"] == 1 and said[-1].strip():
        yield said[-1]
    yield "\n".join(said)
