"""The arguments of TRL's and PEFT's configurations, checked against their source.

Importing TRL takes seven seconds, and a misspelt name should be told at once; so its files are
parsed and not imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError

TRAINING = (
    ("transformers", "training_args.py", ("TrainingArguments",)),
    ("trl", "trainer/base_config.py", ("_BaseConfig",)),
)
LORA = (
    ("peft", "config.py", ("PeftConfigMixin", "PeftConfig")),
    ("peft", "tuners/lora/config.py", ("LoraConfig",)),
)
NUMBERS: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,)}


@cache
def names(config: str) -> Mapping[str, str]:
    """The fields of a configuration class of TRL, inherited ones included, with their types."""
    file = f"trainer/{config.removesuffix('Config').lower()}_config.py"
    return _merged((*TRAINING, ("trl", file, (config,))))


@cache
def lora_names() -> Mapping[str, str]:
    """The fields of PEFT's LoraConfig, with their types."""
    return _merged(LORA)


def check(key: str, config: str, given: Mapping[str, Any], known: Mapping[str, str]) -> None:
    """Raises ConfigError for a name that the configuration lacks, or a value of another kind."""
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"{key}: {config} has no {name!r}; {_nearest(name, known)}")
        wanted = known[name].removesuffix("| None").strip()
        if wanted not in NUMBERS or (value is None and wanted != known[name]):
            continue
        truth = isinstance(value, bool) and wanted != "bool"
        if truth or not isinstance(value, NUMBERS[wanted]):
            raise ConfigError(f"{key}: {name} has to be {wanted} and not {value!r}{_hint(value)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant; the configurations have too many fields to list them."""
    (near,) = get_close_matches(name, known, n=1, cutoff=0.6) or [""]
    if near:
        return f"did you mean {near!r}?"
    (near,) = get_close_matches(name, known, n=1, cutoff=0.0)
    return f"the nearest is {near!r}"


def _hint(value: Any) -> str:
    """YAML takes 2e-5 for a text: its numbers have a point."""
    if not isinstance(value, str):
        return ""
    try:
        digits, e, exponent = repr(float(value)).partition("e")
    except ValueError:
        return ""
    return f"; write {digits if '.' in digits else digits + '.0'}{e}{exponent}"


def _merged(places: Sequence[tuple[str, str, tuple[str, ...]]]) -> Mapping[str, str]:
    """The fields of classes in their files; a later one's type counts."""
    return {name: kind for place in places for name, kind in _fields(*place)}


def _fields(package: str, path: str, classes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigError(f"{package} is missing: pip install 'posttrain-evalkit[train]'")
    for node in ast.parse((Path(spec.origin).parent / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name in classes:
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    yield line.target.id, ast.unparse(line.annotation)
