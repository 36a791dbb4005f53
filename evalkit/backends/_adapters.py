"""Adapters of one base, asked one after the other: it is loaded once, and they take turns on it.

Only LoRA that lies beside the base's weights: what takes the place of some of them (biases, whole
modules, embeddings) would stay when the adapter is taken off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.identity.fingerprint import fingerprint
from evalkit.identity.weights import parsed

NAME = "default"
WEIGHTS = "adapter_model.safetensors"
BESIDE = (".lora_A.weight", ".lora_B.weight")
LOADED_BY = ("device", "dtype", "quantization")
"""The options that make two loaded bases different."""


@dataclass(slots=True)
class _Shelf:
    """The base of the adapter that was asked last, while bases are shared."""

    open: bool = False
    key: str = ""
    model: Any = None


SHELF = _Shelf()


@contextmanager
def sharing() -> Iterator[None]:
    """Keeps the base of an adapter for the next one, for as long as the context lasts."""
    SHELF.open = True
    try:
        yield
    finally:
        SHELF.open = False
        taken("")


def shared(where: Path, base: Path, chosen: Mapping[str, Any]) -> str:
    """What adapters that can take turns on one base have in common; empty where one cannot."""
    if not (SHELF.open and base.is_dir() and _lies_beside(where)):
        return ""
    return json.dumps([fingerprint(base), *(chosen[name] for name in LOADED_BY)])


def keep(key: str, model: Any) -> None:
    """Keeps a base, with the adapter that was asked, for the next one."""
    if key and SHELF.open:
        SHELF.key, SHELF.model = key, model


def taken(key: str) -> Any:
    """The base that is kept under a key; None where there is none, and another is let go."""
    found = SHELF.model if key and key == SHELF.key else None
    SHELF.key, SHELF.model = "", None
    return found


def put_on(model: Any, where: Path) -> frozenset[str]:
    """Puts an adapter in the place of the one that a base has; the weights that it lacks."""
    model.delete_adapter(NAME)
    found = model.load_adapter(str(where), adapter_name=NAME)
    model.set_adapter(NAME)
    return frozenset(found.missing_keys)


def _lies_beside(where: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    config = parsed(where / "adapter_config.json")
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none":
        return False
    try:
        with safe_open(where / WEIGHTS, "pt") as file:
            return all(name.endswith(BESIDE) for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError):  # it is loaded by itself then, which says what is wrong
        return False
