"""A prompt with the fields of a row in it: `{name}` is a field, `{{name}}` the word in braces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

FIELD = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")
CHOICES = "choices"
"""The placeholder that stands for the options, a line and a letter each."""


def fields(template: str) -> Iterator[str]:
    """The fields that a template wants, in order."""
    return (found[2] for found in FIELD.finditer(template) if found[2])


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with every field replaced at once: what is put in is not looked into."""
    return FIELD.sub(lambda at: values[at[2]] if at[2] else f"{{{at[1]}}}", template)


def as_text(value: Any) -> str:
    """A value as it is put into a prompt: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
