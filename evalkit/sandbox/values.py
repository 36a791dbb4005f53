"""Plain values across the border of the sandbox, as JSON: what arrives has no behaviour.

Numbers, texts, lists, tuples, sets, dictionaries and nothing else come out of a program, so that
an object that claims to equal everything equals nothing.  Both sides import this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Number
from typing import Any

MOST_DIGITS = 4000  # above, decimal conversion is limited by the interpreter and slow


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """What a program answered that is no plain value: equal to nothing but itself."""

    kind: str


def packed(value: Any) -> bytes:
    """A value as bytes; raises RecursionError where it is nested too deeply."""
    return json.dumps(_tagged(value), separators=(",", ":")).encode()


def unpacked(data: bytes) -> Any:
    """The value that a program sent; raises ValueError where that is none."""
    try:
        return _value(json.loads(data))
    except (RecursionError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a value: {error}") from None


def _tagged(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list):
        return [_tagged(each) for each in value]
    if isinstance(value, tuple | set | frozenset):
        kind = "tuple" if isinstance(value, tuple) else "set"
        return {kind: [_tagged(each) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[_tagged(key), _tagged(each)] for key, each in value.items()]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Number | Decimal):
        return _number(value)
    if type(value).__module__ == "numpy" and not hasattr(value, "__len__"):
        return _tagged(value.item())  # a scalar; its truth values are no numbers
    return {"foreign": type(value).__name__}


def _number(value: Any) -> Any:
    """A number as the float or whole number that equals it, if there is one."""
    if isinstance(value, float):
        return float(value)
    for kind in (int, float):
        try:
            near = kind(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if near == value:
            return near if near.__class__ is float or _is_short(near) else {"int": hex(near)}
    return {"foreign": type(value).__name__}


def _is_short(whole: int) -> bool:
    return whole.bit_length() < 3 * MOST_DIGITS


def _value(tagged: Any) -> Any:
    if isinstance(tagged, list):
        return [_value(each) for each in tagged]
    if not isinstance(tagged, Mapping):
        return tagged
    ((kind, inner),) = tagged.items()
    return _READERS[kind](inner)


_READERS: dict[str, Any] = {
    "tuple": lambda inner: tuple(_value(each) for each in inner),
    "set": lambda inner: {_value(each) for each in inner},
    "dict": lambda inner: {_value(key): _value(each) for key, each in inner},
    "bytes": bytes.fromhex,
    "int": lambda inner: int(inner, 16),
    "foreign": Foreign,
}
