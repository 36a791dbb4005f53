"""Byte strings of one width, sorted: a set of millions at a few bytes apiece."""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np

HEAD = 8


def sort(packed: bytearray, width: int) -> None:
    """Sorts what stands in it one after another, all of one width, where it stands."""
    np.frombuffer(packed, f"S{width}").sort()


class Keys:
    """Sorted keys one after another, and their first eight bytes as numbers to search in."""

    def __init__(self, packed: bytes | bytearray | memoryview, width: int) -> None:
        self.width = width
        self._packed = packed
        split = np.dtype([("head", f">u{HEAD}"), ("rest", f"V{width - HEAD}")])
        heads = np.frombuffer(packed, split)["head"].astype(f"=u{HEAD}")
        self._heads = array("Q")
        self._heads.frombytes(heads.view(np.uint8).data)

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
