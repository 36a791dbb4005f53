"""What NeMo RL leaves on disk: folders that are renamed into place when they are whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from evalkit import Saved
from evalkit.identity.weights import files as model_files
from evalkit.identity.weights import lacks_tokenizer, parsed, saved

from .checkpoints import QUIET_SECONDS, by_hand, numbered, numbers

CHECKPOINT = re.compile(r"step_(\d+)")


def scan(run: Path, settled: float = QUIET_SECONDS) -> Sequence[Saved]:
    """The whole checkpoints of a run, by step: those that have been renamed into place."""
    return list(numbered(run, CHECKPOINT, _checkpoint))


def _checkpoint(step: int, folder: Path) -> Saved | None:
    weights, tokenizer = folder / "policy" / "weights", folder / "policy" / "tokenizer"
    inner = weights / "model"
    beside = model_files(tokenizer) if tokenizer.is_dir() else {}
    found = _model(step, (inner / "consolidated", inner, weights), beside) or _parts(
        step, (weights, inner), beside
    )
    if found is None:
        return None
    train = numbers(parsed(folder / "training_info.json"))
    return replace(found, path=str(folder), train=train, base=_base(folder))


def _model(step: int, places: Sequence[Path], tokenizer: Mapping[str, str]) -> Saved | None:
    """Weights in Hugging Face's layout, with the tokenizer that is kept elsewhere."""
    for place in places:
        found = saved(step, place) if place.is_dir() else None
        if found:
            if not tokenizer or not lacks_tokenizer(place):
                return found
            kind = "hf" if found.format == "bare" else found.format
            return replace(found, format=kind, files={**tokenizer, **found.files})
    return None


def _parts(step: int, places: Sequence[Path], tokenizer: Mapping[str, str]) -> Saved | None:
    """Weights that every device wrote its part of: a model can be made of them."""
    for place in places:
        if (place / ".metadata").exists():
            parts = {f"dcp/{path.name}": str(path) for path in place.iterdir() if path.is_file()}
            return Saved(step, str(place), "dcp", {**tokenizer, **parts})
        parts = {path.name: str(path) for path in place.glob("*.safetensors")}
        if parts:
            return Saved(step, str(place), "shards", {**tokenizer, **parts})
        if any(place.glob("iter_*")):
            return by_hand(step, place.parents[1], "nemo-megatron")
    return None


def _base(folder: Path) -> str:
    """The model that a run was trained from, by its own configuration."""
    try:
        found = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        return str(found["policy"]["model_name"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return ""
