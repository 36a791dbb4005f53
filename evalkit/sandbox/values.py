"""Plain values across the border of the sandbox, as JSON: what arrives has no behaviour.

Numbers, texts, lists, tuples, sets, dictionaries and nothing else come out of a program, so that
an object that claims to equal everything equals nothing.  Both sides import this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
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
    if isinstance(value, Number | Decimal):
        return _number(value)
    for kind, packs in _PACKERS.items():
        if isinstance(value, _KINDS[kind]):
            return {kind: packs(value)}
    if type(value).__module__ == "numpy" and not hasattr(value, "__len__"):
        return _tagged(value.item())  # a scalar; its truth values are no numbers
    return {"foreign": type(value).__name__}


def _number(value: Any) -> Any:
    """A number as the float or whole number that equals it, if there is one."""
    if isinstance(value, float):
        return float(value)
    with suppress(TypeError, ValueError, OverflowError):
        whole = int(value)
        if whole == value:
            return whole if whole.bit_length() < 3 * MOST_DIGITS else {"int": hex(whole)}
    with suppress(TypeError, ValueError, OverflowError):
        if float(value) == value:
            return float(value)
    return {"foreign": type(value).__name__}


_KINDS: dict[str, Any] = {
    "tuple": tuple,
    "set": (set, frozenset),
    "dict": dict,
    "bytes": bytes,
}

_PACKERS: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda value: [_tagged(each) for each in value],
    "set": lambda value: [_tagged(each) for each in value],
    "dict": lambda value: [[_tagged(key), _tagged(each)] for key, each in value.items()],
    "bytes": lambda value: value.hex(),
}


def _value(tagged: Any) -> Any:
    if isinstance(tagged, list):
        return [_value(each) for each in tagged]
    if not isinstance(tagged, Mapping):
        return tagged
    ((kind, inner),) = tagged.items()
    return _READERS[kind](inner)


_READERS: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda inner: tuple(_value(each) for each in inner),
    "set": lambda inner: {_value(each) for each in inner},
    "dict": lambda inner: {_value(key): _value(each) for key, each in inner},
    "bytes": bytes.fromhex,
    "int": lambda inner: int(inner, 16),
    "foreign": Foreign,
}
