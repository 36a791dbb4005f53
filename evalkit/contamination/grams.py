"""n-grams as numbers: 64-bit hashes of thirteen tokens in a row, all of a text at once.

Two different n-grams have the same hash once in 2⁶⁴ pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

SIZE = 13
Hashes = NDArray[np.uint64]
BASE = 0x9E3779B97F4A7C15 | 1
MASK = (1 << 64) - 1
POWERS = [np.uint64(pow(BASE, n, 1 << 64)) for n in range(SIZE)]


def numbered(words: Iterable[str], vocabulary: Mapping[str, int]) -> list[int]:
    """The number of each word; 0 of one that is not in the vocabulary."""
    return list(map(vocabulary.get, words, repeat(0)))


def hashed(numbers: NDArray[np.int64]) -> tuple[Hashes, NDArray[np.intp]]:
    """The n-grams without an unknown word, and where each of them starts."""
    count = len(numbers) - SIZE + 1
    if count < 1:
        return np.empty(0, np.uint64), np.empty(0, np.intp)
    unknown = np.concatenate(([0], np.cumsum(numbers == 0)))
    starts = np.flatnonzero(unknown[SIZE:] == unknown[:-SIZE])
    one = _mixed(numbers.astype(np.uint64))
    two = one[:-1] + POWERS[1] * one[1:]
    four = two[:-2] + POWERS[2] * two[2:]
    eight = four[:-4] + POWERS[4] * four[4:]
    whole = eight[:count] + POWERS[8] * four[8 : 8 + count] + POWERS[12] * one[12 : 12 + count]
    return whole[starts], starts


def _mixed(values: Hashes) -> Hashes:
    """Each number as one that looks random (the finaliser of splitmix64)."""
    mixed = values * np.uint64(BASE)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
