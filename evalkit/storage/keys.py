"""Byte strings of one width, sorted: a set of millions at a few bytes apiece."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left

HEAD = 8


class Keys:
    """Sorted keys one after another, and their first eight bytes as numbers to search in."""

    def __init__(self, packed: bytes, width: int) -> None:
        self.width = width
        self._packed = packed
        heads = bytearray(len(packed) // width * HEAD)
        for byte in range(HEAD):
            heads[byte::HEAD] = packed[byte::width]
        self._heads = array("Q", bytes(heads))
        if sys.byteorder == "little":
            self._heads.byteswap()

    def __len__(self) -> int:
        return len(self._heads)

    def index(self, wanted: bytes) -> int:
        """Where a key stands; -1 where there is none like it."""
        head = int.from_bytes(wanted[:HEAD], "big")
        at = bisect_left(self._heads, head)
        while at < len(self._heads) and self._heads[at] == head:
            if self._packed[at * self.width : (at + 1) * self.width] == wanted:
                return at
            at += 1
        return -1

    def __contains__(self, wanted: bytes) -> bool:
        return self.index(wanted) >= 0
