"""Records of one width, sorted: thousands of them in memory, millions in a file without a name.

What is known of every sample of a task, such as its identity or the place of its answer, is a few
bytes; here they take the same memory whatever their number.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import numpy as np

from evalkit.storage.scratch import Scratch

HELD_BYTES = 2**21
"""So much is held in memory; the rest waits in a file in the folder for such (`TMPDIR`)."""
PIECE_BYTES = 2**16
BLOCK = 256
"""Records that are looked through for one, once the block that it would be in is found."""

Read = Callable[[int, int], bytes]
"""Bytes of what was written, from a place on; fewer at its end."""


class Records:
    """Sorted records one after another; they can be gone through, counted and looked up."""

    def __init__(self, width: int, count: int, read: Read) -> None:
        self.width = width
        self._count, self._read = count, read
        self._block: tuple[int, bytes] = (-1, b"")

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        width = self.width
        for piece in self.pieces():
            for at in range(0, len(piece), width):
                yield piece[at : at + width]

    def __getitem__(self, place: int) -> bytes:
        if not 0 <= place < self._count:
            raise IndexError(place)
        block, within = divmod(place, BLOCK)
        return self._of(block)[within * self.width : (within + 1) * self.width]

    def __contains__(self, wanted: bytes) -> bool:
        return self.index(wanted) >= 0

    def index(self, wanted: bytes) -> int:
        """Where a record stands, or the first one that begins so; -1 where there is none."""
        block = max(bisect_left(self._firsts, wanted) - 1, 0)
        found, width = self._of(block), self.width
        places = range(len(found) // width)
        within = bisect_left(places, wanted, key=lambda at: found[at * width : (at + 1) * width])
        place = block * BLOCK + within
        return place if place < self._count and self[place].startswith(wanted) else -1

    def pieces(self) -> Iterator[bytes]:
        """All of them, many at a time."""
        end = self._count * self.width
        step = PIECE_BYTES // self.width * self.width
        return (self._read(at, min(step, end - at)) for at in range(0, end, step))

    def first(self, count: int | None) -> Records:
        """So many of them; None: all."""
        return self if count is None else Records(self.width, min(count, self._count), self._read)

    @cached_property
    def _firsts(self) -> list[bytes]:
        """The record that each block begins with."""
        return [
            self._read(place * self.width, self.width) for place in range(0, self._count, BLOCK)
        ]

    def _of(self, block: int) -> bytes:
        """A block, kept until another is wanted: what comes in order is read once."""
        kept = self._block
        if kept[0] != block:
            size = min(BLOCK, self._count - block * BLOCK) * self.width
            kept = self._block = block, self._read(block * BLOCK * self.width, size)
        return kept[1]


def sort(width: int, records: Iterable[bytes]) -> Records:
    """The records of an iteration, all of one width, which are taken one by one.

    Raises StoreError where they are many, and the disk takes no file of them.
    """
    held = bytearray()
    file: Scratch | None = None
    ends = array("Q")
    most = HELD_BYTES // width * width
    for record in records:
        held += record
        if len(held) >= most:
            file = file or Scratch()
            file.append(_in_order(held, width))
            ends.append(file.size)
            held = bytearray()
    if file is None:
        packed = bytes(_in_order(held, width))
        return Records(width, len(packed) // width, lambda at, size: packed[at : at + size])
    file.append(_in_order(held, width))
    whole = Scratch()
    for piece in _merged(file.read, [*ends, file.size], width):
        whole.append(piece)
    return Records(width, whole.size // width, whole.read)


def _in_order(packed: bytearray, width: int) -> bytearray:
    np.frombuffer(packed, f"S{width}").sort()
    return packed


def _merged(read: Read, ends: list[int], width: int) -> Iterator[bytearray]:
    """The records of several sorted runs that end at these places, in order, a piece at a time."""
    step = max(HELD_BYTES // len(ends) // width, 1) * width
    runs = [_Run(read, start, end, step) for start, end in zip([0, *ends], ends, strict=False)]
    while runs := [run for run in runs if run.fill()]:
        bound = min(run.last(width) for run in runs)  # what is below it is in memory, of every run
        yield _in_order(bytearray(b"".join(run.until(bound, width) for run in runs)), width)


class _Run:
    """One sorted run of a file, a piece of which is in memory."""

    def __init__(self, read: Read, at: int, end: int, step: int) -> None:
        self._read, self._at, self._end, self._step = read, at, end, step
        self._piece = b""

    def fill(self) -> bool:
        """Reads on where the last piece is used up; whether there is anything left."""
        if not self._piece:
            size = min(self._step, self._end - self._at)
            self._piece = self._read(self._at, size)
            self._at += size
        return bool(self._piece)

    def last(self, width: int) -> bytes:
        """The greatest record that is in memory."""
        return self._piece[-width:]

    def until(self, bound: bytes, width: int) -> bytes:
        """Takes what comes up to a record, that one too."""
        ordered = np.frombuffer(self._piece, f"S{width}")
        cut = int(np.searchsorted(ordered, np.array(bound, f"S{width}"), "right")) * width
        taken, self._piece = self._piece[:cut], self._piece[cut:]
        return taken
