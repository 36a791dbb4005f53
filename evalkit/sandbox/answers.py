"""What comes back from a program, which may say anything, and from its warden, which knows."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from evalkit.sandbox.examiner import HEADER, MOST_WORDS, Forged
from evalkit.sandbox.limits import Failed

PART = 1 << 16  # bytes read at once


def part_of(source: int) -> bytes:
    """What there is to be read from a descriptor; empty where it is closed."""
    try:
        return os.read(source, PART)
    except ConnectionResetError:  # it ended without reading all that it was sent
        return b""


def is_whole(data: bytes | bytearray) -> bool:
    """Whether an answer is as long as it says that it is."""
    size = HEADER.size
    return len(data) >= size and len(data) >= size + HEADER.unpack(data[:size])[0]


def object_of(data: bytes) -> dict[str, Any]:
    """What a program said, if that is an object: it may say anything."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def failed(said: dict[str, Any]) -> Failed:
    """Why something did not come to its end, in the program's own words."""
    words = str(said.get("raised", "it did not come to its end"))[:MOST_WORDS]
    return Failed("forged" if words.startswith(f"{Forged.__name__}: ") else "raised", words)


def death(how: dict[str, Any]) -> Failed:
    """Why a program is gone that was not told to go."""
    if how.get("why"):
        return Failed("too much output", str(how["why"]))
    code = int(how["ended"])
    if code == -signal.SIGXCPU:
        return Failed("timed out", "CPU time")
    if code < 0:
        names = {each.value: each.name for each in signal.Signals}
        return Failed("ended", f"killed by {names.get(-code, f'signal {-code}')}")
    return Failed("ended", f"exit code {code} before it was done")
