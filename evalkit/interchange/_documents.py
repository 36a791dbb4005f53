"""JSON that somebody else wrote: bounded, strict about what is needed, silent about the rest.

Whatever is wrong is a DataError of one line that names the file and what is missing in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import orjson

from evalkit.errors import DataError

MOST_BYTES = 1 << 30
"""Of one JSON document."""

MOST_LINE_BYTES = 1 << 26
"""Of one line of a JSONL file."""

MOST_COUNTED = 1 << 53

Kind = TypeVar("Kind")


def parse(content: bytes, where: str) -> Any:
    """The value of a JSON text; `NaN` and `Infinity`, which Python writes, are read."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in content and b"Infinity" not in content:
            raise DataError(f"{where}: not JSON: {error}") from None
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from None


def read_json(path: Path) -> Any:
    """A file that holds one JSON value."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise DataError(f"{path}: over {MOST_BYTES >> 20} MiB of JSON; write it as samples")
    return parse(content, str(path))


def read_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a JSONL file with its place, `FILE:LINE`."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MOST_LINE_BYTES + 1):
                number += 1
                where = f"{path}:{number}"
                if len(line) > MOST_LINE_BYTES:
                    raise DataError(f"{where}: a line of over {MOST_LINE_BYTES >> 20} MiB")
                if text := line.strip():
                    yield where, as_object(parse(text, where), where)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def as_object(value: Any, where: str) -> dict[str, Any]:
    """The value, which must be a JSON object."""
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object")
    return value


def need(document: Mapping[str, Any], name: str, kind: type[Kind], where: str) -> Kind:
    """A field that must be there and be of that kind."""
    value = document.get(name)
    if not isinstance(value, kind):
        found = f"is {type(value).__name__}" if name in document else "is missing"
        raise DataError(f"{where}: `{name}` {found}, expected {kind.__name__}")
    return value


def section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A field that may be there and is an object; empty where it is not."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def text(document: Mapping[str, Any], name: str) -> str:
    """A field that may be there, as text; "" where it is not, or is null."""
    value = document.get(name)
    return "" if value is None else str(value)


def finite(value: Any) -> float | None:
    """A number that is neither infinite nor NaN, or None."""
    found = number(value)
    return found if found is not None and math.isfinite(found) else None


def count(value: Any) -> int:
    """A count, such as of tokens; 0 where there is none, or none that can be."""
    found = finite(value)
    return int(found) if found is not None and 0 <= found < MOST_COUNTED else 0


def number(value: Any) -> float | None:
    """A number, or None: what others write for one they do not have, such as "N/A"."""
    try:
        return float(value) if isinstance(value, bool | int | float) else None
    except OverflowError:  # JSON knows no limit to an integer
        return None
