"""LiveCodeBench's tests out of their packing: JSON, or JSON in a pickle, compressed and in base64.

The pickle is read, never run: it can neither import nor build anything.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from collections.abc import Iterator
from typing import Any

from evalkit.errors import DataError

MOST_BYTES = 1 << 30  # of one problem's tests, unpacked

TEXTS = ("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE")
AROUND = ("PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT", "STOP")
"""The operations of a pickle that holds one text and nothing else."""


def cases_of(stored: str) -> list[tuple[str, str]]:
    """Inputs and expected outputs, from JSON or from the packed form of the private tests."""
    try:
        tests = json.loads(stored)
    except ValueError:
        tests = json.loads(unpacked(stored))
    return [(_lines(test["input"]), str(test["output"])) for test in tests]


def _lines(given: Any) -> str:
    return "\n".join(given) if isinstance(given, list) else str(given)


def unpacked(stored: str) -> str:
    """The one text in a pickle, compressed and in base64; DataError if it is anything else.

    The pickle is read, never run, so that it can neither import nor build anything.
    """
    try:
        machine = zlib.decompressobj()
        data = machine.decompress(base64.b64decode(stored, validate=True), MOST_BYTES)
        if not machine.eof:
            raise DataError(f"livecodebench: tests of over {MOST_BYTES} bytes, or cut off")
        texts = [str(text) for name, text in _operations(data) if name in TEXTS]
    except (binascii.Error, zlib.error, ValueError) as error:
        raise DataError(f"livecodebench: tests that cannot be unpacked: {error}") from None
    if len(texts) != 1:
        raise DataError(f"livecodebench: {len(texts)} texts in the place of one problem's tests")
    return texts[0]


def _operations(data: bytes) -> Iterator[tuple[str, object]]:
    for operation, argument, _ in pickletools.genops(data):
        if operation.name not in (*TEXTS, *AROUND):
            raise DataError(f"livecodebench: tests with {operation.name}: not just a text")
        yield operation.name, argument
