"""Answers that are right, made from the ground truths.

A few questions are passed by no answer: an argument is due that its function does not declare, or
a value that no literal of its language comes to.  Theirs are as near as can be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.types import Sample

from .answers import Language
from .asking import undotted

LEFT_OUT = object()
QUOTES, APOSTROPHES = '"', "'"


def as_text(sample: Sample, language: Language) -> str:
    """The calls in the form that the prompt asks for; nothing where none is due."""
    calls = []
    for name, arguments in _due(sample, language):
        given = (f"{key}={_literal(value, language)}" for key, value in arguments.items())
        calls.append(f"{name}({', '.join(given)})")
    return f"[{', '.join(calls)}]" if calls else ""


def as_tool_calls(sample: Sample, language: Language) -> str:
    """The calls in the form that an engine leaves in the text; nothing where none is due."""
    calls = [
        {"name": undotted(name), "arguments": arguments}
        for name, arguments in _due(sample, language)
    ]
    return "\n".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in calls)


def _due(sample: Sample, language: Language) -> Iterator[tuple[str, dict[str, Any]]]:
    functions = {each["name"]: each["parameters"] for each in sample.metadata["functions"]}
    if sample.stratum == "live_relevance":  # any call will do
        yield next(iter(functions)), {}
    for truth in sample.target:
        for name, due in truth.items():
            rules, required = functions[name]["properties"], functions[name]["required"]
            first = {key: _first(values, key in required) for key, values in due.items()}
            yield (
                name,
                {
                    key: _written(_plain(value), rules[key], language)
                    for key, value in first.items()
                    if key in rules and value is not LEFT_OUT
                },
            )


def _first(values: Sequence[Any], required: bool = False) -> Any:
    """The first of the values that an argument may have, unless it may be left out."""
    if "" in values and not required:
        return LEFT_OUT
    return next((value for value in values if value != ""), "")


def _plain(value: Any) -> Any:
    """A value without the choices in it: those of a dictionary's members, alone or in a list."""
    if isinstance(value, list):
        return [_plain(each) if isinstance(each, dict) else each for each in value]
    if not isinstance(value, dict):
        return value
    members = {key: _first(values) for key, values in value.items()}
    return {key: member for key, member in members.items() if member is not LEFT_OUT}


def _literal(value: Any, language: Language) -> str:
    """A value in Python, or a text in the quotes that it has none of."""
    if language == "python":
        return repr(value)
    if '"' not in value:
        return f'"{value}"'
    if language == "java":  # as a block of text, but for an expression
        return f'"""\n{value}"""' if value.startswith("new HashMap") else str(value)
    return f"'{value}'" if "'" not in value else str(value)


def _written(value: Any, rule: Mapping[str, Any], language: Language) -> Any:
    """A value, or a text in its language."""
    if language == "python":
        return value
    if language == "javascript":
        return _javascript(value)
    return _java(value, rule["type"], rule.get("items", {}).get("type", ""))


def _java(value: Any, declared: str, element: str) -> str:
    match value:
        case dict():
            puts = "".join(f'put("{key}", {_item(each, QUOTES)}); ' for key, each in value.items())
            return f"new HashMap<String, Object>() {{{{ {puts}}}}}"
        case list() if declared == "ArrayList":
            inside = ", ".join(_item(each, APOSTROPHES, element) for each in value)
            return f"new ArrayList<>(Arrays.asList({inside}))"
        case list():
            return f"new Object[]{{{', '.join(_item(each, '', element) for each in value)}}}"
    return _item(value, "", declared)


def _item(value: Any, quote: str, declared: str = "") -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value}L" if declared == "long" else str(value)


def _javascript(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict() | list():
            return json.dumps(value)
    return str(value)
