"""Scalars out of the files that are written for TensorBoard, without TensorBoard.

A file is a row of records: length (8 bytes), a checksum, a message, a checksum.  A message is an
`Event` of protocol buffers: field 2 is the step, field 5 the summary; in a summary each field 1
is a value, whose field 1 is its name and field 2 its number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

LARGEST = 64 << 20  # bytes of a record: pictures are larger than scalars, and nothing is larger


def scalars(
    folder: Path, names: Mapping[str, str], head: str
) -> Iterator[tuple[int, dict[str, float]]]:
    """(step, values) in the order of steps, of the names that are known and begin so.

    Of a step that was logged twice, as by a run that was resumed, the later one counts.
    """
    found: dict[int, dict[str, float]] = {}
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        for record in _records(path):
            step, values = _event(record)
            for tag, value in values.items():
                name = names.get(tag.removeprefix(head)) if tag.startswith(head) else None
                if name:
                    found.setdefault(step, {})[name] = value
    yield from sorted(found.items())


def _records(path: Path) -> Iterator[bytes]:
    """The whole records of a file; it may still be written to."""
    with path.open("rb") as file:
        while len(head := file.read(12)) == 12:
            length = int.from_bytes(head[:8], "little")
            if length > LARGEST or len(record := file.read(length + 4)) < length + 4:
                return
            yield record[:length]


def _event(record: bytes) -> tuple[int, dict[str, float]]:
    step = 0
    values: dict[str, float] = {}
    for field, value in _fields(record):
        if field == 2 and isinstance(value, int):
            step = value
        elif field == 5 and isinstance(value, bytes):
            values.update(_named(part) for key, part in _fields(value) if key == 1)
    return step, {name: value for name, value in values.items() if name}


def _named(part: int | bytes) -> tuple[str, float]:
    fields = dict(_fields(part)) if isinstance(part, bytes) else {}
    name, number = fields.get(1), fields.get(2)
    if not isinstance(name, bytes) or not isinstance(number, bytes) or len(number) != 4:
        return "", 0.0
    return name.decode("utf-8", "replace"), struct.unpack("<f", number)[0]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a message: whole numbers as such, everything else as bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, 0), at)
        if not size and kind != 2:
            return  # of a kind that is not written any more: not ours to read
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            break
    return value, at
