"""The options that a framework knows, read from its own files and never by importing it.

OpenRLHF declares them to argparse, verl and NeMo RL in YAML.  What a user misspells is told
before a job waits in a queue for it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evalkit.errors import ConfigError, did_you_mean

PREFIXES = "+~"  # what Hydra takes for a key that the file has not, or has to lose


@cache
def of_parser(path: Path) -> frozenset[str]:
    """The options that a file adds to an argparse parser, without their dashes."""
    return frozenset(_added(ast.parse(path.read_text(encoding="utf-8")), {}))


def _added(node: ast.AST, known: Mapping[str, str]) -> Iterator[str]:
    if isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple | ast.List):
        assert isinstance(node.target, ast.Name)
        for value in node.iter.elts:
            for line in node.body:
                yield from _added(line, {**known, node.target.id: ast.literal_eval(value)})
        return
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
        yield from (_text(each, known).lstrip("-") for each in node.args)
    for inner in ast.iter_child_nodes(node):
        yield from _added(inner, known)


def _text(node: ast.AST, known: Mapping[str, str]) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
        return known.get(node.value.id, "")
    return str(node.value) if isinstance(node, ast.Constant) else ""


def of_class(path: Path, name: str) -> frozenset[str]:
    """The annotated fields of a class in a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            fields = [line.target for line in node.body if isinstance(line, ast.AnnAssign)]
            return frozenset(field.id for field in fields if isinstance(field, ast.Name))
    return frozenset()


@cache
def of_yaml(path: Path) -> frozenset[str]:
    """The dotted keys of a configuration, with those of the files that it builds on."""
    return frozenset(_dotted(_composed(path)))


def _composed(path: Path) -> dict[str, Any]:
    """A file and its `defaults:` in either form: a list of files, or Hydra's `group@key: name`."""
    own = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    defaults = own.pop("defaults", [])
    whole: dict[str, Any] = {}
    for each in [defaults] if isinstance(defaults, str) else defaults:
        if isinstance(each, dict):
            for group, name in each.items():
                folder, _, key = str(group).partition("@")
                found = path.parent / folder / f"{name}.yaml"
                if key and found.exists():
                    whole = _merged(whole, _nested(key.split("."), _composed(found)))
        elif each != "_self_":
            name = each if each.endswith(".yaml") else f"{each}.yaml"
            whole = _merged(whole, _composed(path.parent / name))
    return _merged(whole, own)


def _nested(keys: list[str], value: Any) -> dict[str, Any]:
    return {keys[0]: _nested(keys[1:], value) if keys[1:] else value}


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = {**first, **second}
    for key in first.keys() & second.keys():
        if isinstance(first[key], dict) and isinstance(second[key], dict):
            both[key] = _merged(first[key], second[key])
    return both


def _dotted(value: Mapping[str, Any], head: str = "") -> Iterator[str]:
    for key, inner in value.items():
        yield f"{head}{key}"
        if isinstance(inner, dict):
            yield from _dotted(inner, f"{head}{key}.")


def check(args: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Raises ConfigError for the first argument that the framework does not know."""
    for name in args:
        if not name.startswith(tuple(PREFIXES)) and name not in known:
            near = did_you_mean(name, known) if len(known) < 400 else _near(name, known)
            raise ConfigError(f"args: {where} has no {name!r}{near}")


def _near(name: str, known: frozenset[str]) -> str:
    """The nearest key; a list of them all would be a page."""
    same_end = [each for each in known if each.rpartition(".")[2] == name.rpartition(".")[2]]
    hint = did_you_mean(name, same_end or known)
    return hint if hint.startswith("; did") else ""


def hydra(name: str, value: Any) -> str:
    """An override in Hydra's grammar."""
    return f"{name}={_hydra(value)}"


def _hydra(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(_hydra(each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_hydra(each)}' for key, each in value.items())}}}"
    if isinstance(value, int | float):
        return repr(value)
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """A text as it is where Hydra reads it as such, else in quotes."""
    plain = text.isascii() and all(c.isalnum() or c in "/-_.@+:%" for c in text)
    if text and plain and not _looks_otherwise(text):
        return text
    # backslashes stand for themselves, but before a quote they have to be written twice
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), text)
    return f"'{escaped}'"


def _looks_otherwise(text: str) -> bool:
    """Whether unquoted it would be a number, a truth value, or nothing."""
    with suppress(ValueError):
        float(text)
        return True
    return not isinstance(yaml.safe_load(text), str) or text[0] in "-.:+%@"
