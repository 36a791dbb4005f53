"""Training data gone through once, by as many processes as there are cores; memory is bounded.

Of each n-gram and each whole text of the index the first place is kept where the data have it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.contamination.grams import hashed, numbered
from evalkit.contamination.index import Index
from evalkit.contamination.texts import Block, Text, blocks, texts
from evalkit.contamination.words import words
from evalkit.errors import DataError
from evalkit.grading.graders import cores
from evalkit.processes.children import end_with

Places = NDArray[np.int64]
FEW = 2  # blocks that are gone through in this process
AHEAD = 3  # blocks for each process, on their way
SLICE = 500_000  # tokens hashed at once
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Hits:
    """What one block has: places in the index, each with the first row."""

    grams: Places
    gram_rows: Places
    exact: dict[int, int]
    rows: int


@dataclass
class Seen:
    """Where each n-gram and each text of an index stands first in some data."""

    grams: Places  # the file's number times 2⁴⁰, and the row; NEVER where it does not
    exact: dict[int, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    rows: int = 0

    def take(self, file: str, hits: Hits) -> None:
        """Adds what a block of a file has."""
        if not self.files or self.files[-1] != file:
            self.files.append(file)
        base = (len(self.files) - 1) << 40
        np.minimum.at(self.grams, hits.grams, hits.gram_rows + base)
        for place, row in hits.exact.items():
            self.exact[place] = min(self.exact.get(place, NEVER), base + row)
        self.rows += hits.rows

    def place(self, where: int) -> str:
        """A place in words."""
        return f"{self.files[where >> 40]}: row {where & ((1 << 40) - 1)}"


def seen(index: Index, files: Iterable[Path]) -> Seen:
    """Goes through files; raises DataError at the first row that cannot be read."""
    found = Seen(np.full(len(index.grams), NEVER, np.int64))
    for block, hits in _looked(index, chain.from_iterable(map(blocks, files))):
        found.take(block.file, hits)
    return found


def _looked(index: Index, given: Iterator[Block]) -> Iterator[tuple[Block, Hits]]:
    first = list(islice(given, FEW + 1))
    if len(first) <= FEW:
        yield from ((block, look(index, texts(block))) for block in first)
        return
    processes = cores()
    waiting: deque[tuple[Block, Future[Hits]]] = deque()
    with ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_begin, initargs=(index, os.getpid())
    ) as pool:
        try:
            for block in chain(first, given):
                waiting.append((block, pool.submit(_look, block)))
                if len(waiting) > AHEAD * processes:
                    yield _next(waiting)
            while waiting:
                yield _next(waiting)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _next(waiting: deque[tuple[Block, Future[Hits]]]) -> tuple[Block, Hits]:
    block, coming = waiting.popleft()
    try:
        return block, coming.result()
    except BrokenProcessPool:
        raise DataError(
            f"{block.file}: a process that read it has ended: is memory short?"
        ) from None


_INDEX: list[Index] = []
"""In a process that looks: what it looks for."""


def _begin(index: Index, parent: int) -> None:
    end_with(parent)
    _INDEX[:] = [index]


def _look(block: Block) -> Hits:
    return look(_INDEX[0], texts(block))


def look(index: Index, given: Iterable[Text]) -> Hits:
    """What some texts have of the index."""
    exact: dict[int, int] = {}
    numbers: list[int] = []
    starts: list[tuple[int, int]] = []
    found: list[tuple[Places, Places]] = []
    last = rows = 0
    for row, text, through in given:
        rows += row != last
        last = row
        place = index.exact_place(text)
        if place >= 0:
            exact.setdefault(place, row)
        if not through:
            continue
        starts.append((len(numbers), row))
        numbers += numbered(words(text), index.vocabulary)
        numbers.append(0)  # no n-gram goes from one text to the next
        if len(numbers) > SLICE:
            found.append(_grams(index, numbers, starts))
            numbers, starts = [], []
    if starts:
        found.append(_grams(index, numbers, starts))
    if not found:
        return Hits(np.empty(0, np.int64), np.empty(0, np.int64), exact, rows)
    places, at = (np.concatenate(each) for each in zip(*found, strict=True))
    return Hits(*_firsts(places, at), exact, rows)


def _grams(
    index: Index, numbers: list[int], starts: list[tuple[int, int]]
) -> tuple[Places, Places]:
    hashes, where = hashed(np.array(numbers, np.int64))
    which, places = index.gram_places(hashes)
    begins, rows = (np.array(each, np.int64) for each in zip(*starts, strict=True))
    return _firsts(
        places.astype(np.int64), rows[np.searchsorted(begins, where[which], "right") - 1]
    )


def _firsts(places: Places, rows: Places) -> tuple[Places, Places]:
    """Each place once, with the first of its rows."""
    order = np.lexsort((rows, places))
    places, rows = places[order], rows[order]
    new = np.ones(len(places), np.bool_)
    new[1:] = places[1:] != places[:-1]
    return places[new], rows[new]
