"""The names that a TRL configuration takes, read from its source.

Importing TRL takes seven seconds, and a misspelt name should be told at once; so its files are
parsed and not imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from evalkit.errors import ConfigError

BASES = (("trl", "trainer/base_config.py"), ("transformers", "training_args.py"))


@cache
def names(config: str, file: str) -> frozenset[str]:
    """The fields of a configuration class of TRL, inherited ones included."""
    found = set(_fields("trl", f"trainer/{file}", config))
    for package, path in BASES:
        found.update(_fields(package, path))
    return frozenset(found)


def _fields(package: str, path: str, only: str = "") -> Iterator[str]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigError(f"{package} is missing: pip install 'posttrain-evalkit[train]'")
    for node in ast.parse((Path(spec.origin).parent / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and (not only or node.name == only):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    yield line.target.id
