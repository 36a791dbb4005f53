"""Looking for words in a column of texts, without a copy of it for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

AT_ONCE = 1024
"""Texts of which a copy in small letters is held at once."""


def matching(texts: pa.Array, words: str) -> NDArray[np.bool_]:
    """(n,) which texts hold the words; letters of ASCII match in either case.

    All texts lie one after the other in one buffer, which is searched as it is.
    """
    wanted = words.encode("utf-8", "surrogatepass").lower()
    offsets = _offsets(texts)
    found = np.zeros(len(texts), dtype=np.bool_)
    buffer = texts.buffers()[2]
    if buffer is None or not len(texts):
        return found
    for first in range(0, len(texts), AT_ONCE):
        mine = offsets[first : first + AT_ONCE + 1]
        whole = buffer[int(mine[0]) : int(mine[-1])].to_pybytes().lower()
        for row in _rows(whole, wanted, (mine - mine[0]).tolist()):
            found[first + row] = True
    return found


def _rows(whole: bytes, wanted: bytes, offsets: list[int]) -> Iterator[int]:
    """The rows that hold what is wanted, each once."""
    from bisect import bisect_right

    place = whole.find(wanted)
    while place >= 0:
        row = bisect_right(offsets, place) - 1
        if place + len(wanted) <= offsets[row + 1]:
            yield row
            place = whole.find(wanted, offsets[row + 1])
        else:  # it began in one text and ended in the next
            place = whole.find(wanted, place + 1)


def _offsets(texts: pa.Array) -> NDArray[np.int64]:
    width = np.int64 if str(texts.type) == "large_string" else np.int32
    raw = np.frombuffer(texts.buffers()[1], width)
    return raw[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
