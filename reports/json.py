"""`verdict.json`: the report itself, exact, in ASCII, byte for byte the same for equal reports.

Floats keep every digit, so that reading the file back gives the same report; integral ones are
written as integers.
"""

from __future__ import annotations

import json

from pydantic import BaseModel

from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.verdict import Renderer, Report

EXACT_INTEGERS = 2**53

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def render(report: Report, _: Evidence = NO_SAMPLES) -> str:
    """The report as JSON: fields as the schema orders them, counts by name."""
    return json.dumps(_plain(report), indent=1, allow_nan=False) + "\n"


def _plain(value: object) -> Plain:
    match value:
        case BaseModel():
            return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
        case dict():
            return {_text(str(key)): _plain(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float():
            whole = value.is_integer() and abs(value) < EXACT_INTEGERS
            return int(value) if whole else value
        case str():
            return _text(value)
        case None | bool() | int():
            return value
    raise TypeError(f"a report holds no {type(value).__name__}")


def _text(text: str) -> str:
    # A lone surrogate can be written as JSON but not read back by strict parsers.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


RENDERERS = (Renderer("json", "verdict.json", render),)
