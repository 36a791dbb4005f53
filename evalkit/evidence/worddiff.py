"""What differs between two texts, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import accumulate

CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"  # written without spaces
TOKENS = re.compile(rf"[{CJK}]|[^\W{CJK}]+|\s+|[^\w\s]")
LONGEST = 4_000
"""Words of a text beyond which no difference is worked out: it would say little by then."""

Ranges = list[tuple[int, int]]


def changed(before: str, after: str) -> tuple[Ranges, Ranges] | None:
    """Where each text has what the other has not, as (start, end) in UTF-16 units.

    Browsers count characters so.  None where a text is longer than `LONGEST` words.
    """
    from rapidfuzz.distance import Indel

    old, new = tokens(before), tokens(after)
    if max(map(_words, (old, new))) > LONGEST:
        return None
    steps = [step for step in Indel.opcodes(old, new) if step.tag != "equal"]
    return (
        _in_units(old, ((step.src_start, step.src_end) for step in steps)),
        _in_units(new, ((step.dest_start, step.dest_end) for step in steps)),
    )


def tokens(text: str) -> list[str]:
    """The words, spaces and signs of a text, which together are the text."""
    return TOKENS.findall(text)


def _words(found: list[str]) -> int:
    return sum(not token.isspace() for token in found)


def _in_units(found: list[str], ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Ranges of tokens as ranges of units; two with nothing but space between them are one."""
    joined: Ranges = []
    for start, end in ranges:
        if start == end:
            continue
        if joined and all(map(str.isspace, found[joined[-1][1] : start])):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    lengths = (len(token.encode("utf-16-le", "surrogatepass")) // 2 for token in found)
    ends = [0, *accumulate(lengths)]
    return [(ends[start], ends[end]) for start, end in joined]
