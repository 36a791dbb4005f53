"""Fields of a benchmark's rows that are too large to be held in memory: read when needed.

The tests of a set of programming problems come to gigabytes.  A row holds a `Stored` in the place
of such a field, which names what it is by its hash, for the revision of the data, and reads it
again from its line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from evalkit.errors import DataError
from evalkit.exams import formats


@dataclass(frozen=True, slots=True)
class Stored:
    """One field of one row: its hash, and where it stands."""

    sha256: str
    file: str
    field: str
    start: int = 0  # bytes in the file before the row
    length: int = 0  # of the row
    held: Any = None  # the value itself, where the file cannot be read from the middle

    def read(self) -> Any:
        """The value; raises DataError where the file is another than it was."""
        if self.length == 0:
            return self.held
        try:
            with open(self.file, "rb") as file:
                file.seek(self.start)
                value = orjson.loads(file.read(self.length))[self.field]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.file}: cannot be read again: {error}") from None
        if _digest(value) != self.sha256:
            raise DataError(f"{self.file} has changed since its questions were read: run again")
        return value


def rows(file: Path, fields: tuple[str, ...]) -> Iterator[formats.Placed]:
    """Every row of a file with its place, its large fields left where they are."""
    if file.suffix != ".jsonl":
        for place, row in formats.read(file):
            yield place, _without(row, fields, str(file))
        return
    for start, length, row in formats.spans(file):
        yield f"byte {start}", _without(row, fields, str(file), start, length)


def _without(
    row: Any, fields: tuple[str, ...], file: str, start: int = 0, length: int = 0
) -> dict[str, Any]:
    if not isinstance(row, dict):
        return row  # type: ignore[no-any-return]  # refused by whoever checks rows
    for field in fields:
        if row.get(field) is not None:
            value = row[field]
            row[field] = Stored(
                _digest(value), file, field, start, length, None if length else value
            )
    return row


def _digest(value: Any) -> str:
    data = value.encode(errors="replace") if isinstance(value, str) else orjson.dumps(value)
    return hashlib.sha256(data).hexdigest()
