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
            rules = functions[name]["properties"]
            yield (
                name,
                {
                    key: value if language == "python" else _text(value, rules[key], language)
                    for key, values in due.items()
                    if key in rules
                    and (value := _first(values, key in functions[name]["required"]))
                    is not LEFT_OUT
                },
            )


def _first(values: Sequence[Any], required: bool) -> Any:
    """The first of the values that an argument may have, unless it may be left out."""
    if "" in values and not required:
        return LEFT_OUT
    return _plain(next((value for value in values if value != ""), ""))


def _plain(value: Any) -> Any:
    """A value without the choices inside it."""
    if isinstance(value, dict):
        members = {key: _first(values, required=False) for key, values in value.items()}
        return {key: member for key, member in members.items() if member is not LEFT_OUT}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _literal(value: Any, language: Language) -> str:
    """A value in Python, or a text in the quotes that it has none of."""
    if language == "python":
        return repr(value)
    if '"' not in value:
        return f'"{value}"'
    if language == "java":  # as a block of text, but for an expression
        return f'"""\n{value}"""' if value.startswith("new HashMap") else str(value)
    return f"'{value}'" if "'" not in value else str(value)


def _text(value: Any, rule: Mapping[str, Any], language: Language) -> str:
    """A value as a text in its language."""
    write = _java if language == "java" else _javascript
    return write(value, rule["type"])


def _java(value: Any, declared: str) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() if declared == "long":
            return f"{value}L"
        case dict():
            puts = "".join(f'put("{key}", {_quoted(each)}); ' for key, each in value.items())
            return f"new HashMap<String, Object>() {{{{ {puts}}}}}"
        case list() if declared == "ArrayList":
            inside = ", ".join(f"'{each}'" if isinstance(each, str) else str(each) for each in value)
            return f"new ArrayList<>(Arrays.asList({inside}))"
        case list():
            return f"new Object[]{{{', '.join(map(str, value))}}}"
    return str(value)


def _javascript(value: Any, declared: str) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict() | list():
            return json.dumps(value)
    return str(value)


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else _java(value, "")
