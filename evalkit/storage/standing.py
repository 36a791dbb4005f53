"""Which lines of a cell count: of all that were written for a sample, the one that stands.

A table, sorted, and a journal that was begun after it, by item and epoch.  Of a journal's lines
only their places are gone through in order, so that a million answers need no more memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from evalkit.errors import StoreError
from evalkit.identity.identity import ITEM_BYTES
from evalkit.storage import journal
from evalkit.storage.records import Records, sort
from evalkit.storage.tables import read_rows

Row = dict[str, Any]
KEY_BYTES = 20
LINE_BYTES = KEY_BYTES + 8

Outlives = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
"""Whether a known row stays although another was written after it."""


def key(item: bytes, epoch: int) -> bytes:
    """What rows are sorted by: item, then epoch."""
    return item + epoch.to_bytes(4, "big")


def place_of(row: Mapping[str, Any]) -> bytes:
    """The key of a row, of a table or of a journal; raises what a line that is no row makes."""
    item = row["item"]
    found = key(bytes.fromhex(item) if isinstance(item, str) else item, row.get("epoch", 0))
    if len(found) != KEY_BYTES:
        raise ValueError("an item is 16 bytes")
    return found


@dataclass(frozen=True, slots=True)
class Lines:
    """Where each line of a journal is, by key: sorted, the later of one key after the earlier."""

    path: Path
    places: Records  # of each line its key, and the byte at which it begins

    def groups(self) -> Iterator[tuple[bytes, list[int]]]:
        """Each key with the offsets of its lines, in the order in which they were written."""
        for found, same in groupby(self.places, key=lambda place: place[:KEY_BYTES]):
            yield found, [int.from_bytes(place[KEY_BYTES:], "big") for place in same]


def lines(path: Path, check: Callable[[Mapping[str, Any]], object]) -> Lines:
    """The lines of a journal; raises StoreError on one that `check` cannot take."""

    def places() -> Iterator[bytes]:
        for number, (offset, row) in enumerate(journal.located(path), 1):
            try:
                found = place_of(row)
                check(row)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                raise journal.damaged(path, number) from None
            yield found + offset.to_bytes(LINE_BYTES - KEY_BYTES, "big")

    return Lines(path, sort(LINE_BYTES, places()))


def standing(
    table: Path | None, found: Lines, outlives: Outlives, columns: list[str] | None = None
) -> Iterator[Row]:
    """The rows that stand, in order: those of the table as they are, the others as journaled.

    Of the table only some `columns` may be read.
    """
    tabled = _in_order(table, columns) if table and table.exists() else iter(())
    before = next(tabled, None)
    if not found.places:
        while before is not None:
            yield before
            before = next(tabled, None)
        return
    with found.path.open("rb") as file:
        for wanted, offsets in found.groups():
            while before is not None and place_of(before) < wanted:
                yield before
                before = next(tabled, None)
            known = None
            if before is not None and place_of(before) == wanted:
                known, before = before, next(tabled, None)
            yield _last(known, file, offsets, outlives)
    while before is not None:
        yield before
        before = next(tabled, None)


def _in_order(table: Path, columns: list[str] | None) -> Iterator[Row]:
    last = b""
    for row in read_rows(table, columns):
        here = place_of(row)
        if here <= last:
            raise StoreError(f"{table}: its rows are not in order: restore it from a copy")
        yield row
        last = here


def _last(known: Row | None, file: BinaryIO, offsets: list[int], outlives: Outlives) -> Row:
    for offset in offsets:
        file.seek(offset)
        row = orjson.loads(file.readline())
        if known is None or not outlives(known, row):
            known = row
    assert known is not None
    return known


def answered(pairs: Iterable[tuple[bytes, bytes]]) -> Records:
    """A set of keys, each followed by the identity of what was asked under it."""
    return sort(KEY_BYTES + ITEM_BYTES, (found + asked for found, asked in pairs))
