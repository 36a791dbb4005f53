"""A trainer's own arguments: the fields of a dataclass, of the types of their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from evalkit.errors import ConfigError, did_you_mean

T = TypeVar("T")


def parse(kind: type[T], args: Mapping[str, Any], method: str) -> T:
    """A stage's `args`; raises ConfigError for a name or a value that will not do."""
    known = {name: type(value) for name, value in asdict(kind()).items()}  # type: ignore[call-overload]
    for name, value in args.items():
        if name not in known:
            raise ConfigError(f"args: {method} has no {name!r}{did_you_mean(name, known)}")
        if not _fits(value, known[name]):
            raise ConfigError(f"args: {name} has to be {known[name].__name__} and not {value!r}")
    return kind(**args)


def _fits(value: Any, wanted: type) -> bool:
    if wanted is bool or isinstance(value, bool):
        return isinstance(value, bool) and wanted is bool
    return isinstance(value, int | float) and isinstance(value, wanted | int) and value >= 0
