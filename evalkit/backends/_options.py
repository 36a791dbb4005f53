"""The options of a backend: its defaults, overlaid with what the user wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.errors import ConfigError, did_you_mean
from evalkit.types import Checkpoint

KINDS: dict[type, tuple[type, ...]] = {float: (int, float), dict: (Mapping,)}


def options(checkpoint: Checkpoint, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Every option with its value; raises ConfigError on an unknown name or another type."""
    where = f"checkpoint {checkpoint.name!r}, backend {checkpoint.backend!r}"
    for name, value in checkpoint.options.items():
        if name not in defaults:
            raise ConfigError(f"{where}: unknown option {name!r}{did_you_mean(name, defaults)}")
        if not _fits(value, defaults[name]):
            wanted = type(defaults[name]).__name__
            raise ConfigError(f"{where}: option {name!r} must be of type {wanted}, not {value!r}")
    return {**defaults, **checkpoint.options}


def _fits(value: Any, default: Any) -> bool:
    """Whether a value has its default's type; a default of None fits everything."""
    if default is None:
        return True
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    return isinstance(value, KINDS.get(type(default), (type(default),)))
