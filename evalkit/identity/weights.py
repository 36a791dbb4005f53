"""Whether a folder holds a whole model: told from its files, without loading them.

A trainer writes for minutes, and `config.json` may be there hours before the weights; so every
file of weights is held against the length that it states itself.  An adapter is looked for
first, since some trainers write a `config.json` beside it.
"""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from evalkit.identity.fingerprint import CONFIG, NOT_THE_MODEL, TOKENIZER, WEIGHTS
from evalkit.types import Saved

MODEL = ("model.safetensors", "pytorch_model.bin")
ADAPTER = ("adapter_model.safetensors", "adapter_model.bin")
LARGEST_HEADER = 100_000_000  # bytes: the limit of the safetensors format itself
EXTRAS = ("preprocessor_config.json", "processor_config.json")


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter, which needs its base to be a model."""
    return (folder / "adapter_config.json").exists()


def lacking(folder: Path) -> str:
    """What keeps the folder from being a whole model or adapter; empty where nothing does."""
    if is_adapter(folder):
        config, names = "adapter_config.json", ADAPTER
    else:
        config, names = "config.json", MODEL
    if not parsed(folder / config):
        return f"{config} is missing or not whole"
    reasons = [reason for name in names for reason in _of_weights(folder, name)]
    if not reasons:
        return f"no weights: neither {' nor '.join(names)}"
    return "" if "" in reasons else reasons[0]


def lacks_tokenizer(folder: Path) -> bool:
    """Whether there is nothing to make tokens with."""
    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
    return not any(_closed(folder / name) for name in names) or not parsed(
        folder / "tokenizer_config.json"
    )


def _closed(path: Path) -> bool:
    """Whether a file is there and, where it is JSON, ends as such files end: it may be large."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 16), os.SEEK_END)
        end = file.read().rstrip()
        return end.endswith(b"}") if path.suffix == ".json" else bool(end)
    return False


def _of_weights(folder: Path, name: str) -> Iterator[str]:
    """What is wrong with weights of that name, whole or in parts; nothing where there are none."""
    index = folder / f"{name}.index.json"
    if (folder / name).exists():
        yield _of_file(folder / name)
    if index.exists():
        yield _of_parts(folder, parsed(index))


def _of_parts(folder: Path, index: dict[str, Any]) -> str:
    parts = index.get("weight_map")
    if not isinstance(parts, dict) or not parts:
        return "the index of the weights is not whole"
    for part in sorted({str(name) for name in parts.values()}):
        path = PurePosixPath(part)
        if path.is_absolute() or ".." in path.parts:
            return f"the index of the weights names {part}, which is outside the folder"
        if reason := _of_file(folder / path):
            return reason
    return ""


def _of_file(path: Path) -> str:
    try:
        size = path.stat().st_size
        if path.suffix == ".safetensors":
            return "" if size and size == _stated(path) else f"{path.name} is not whole"
        return "" if size and zipfile.is_zipfile(path) else f"{path.name} is not whole"
    except OSError:
        return f"{path.name} is missing"


def _stated(path: Path) -> int:
    """The length that a safetensors file has by its own header; 0 where that cannot be read."""
    with path.open("rb") as file, suppress(ValueError, KeyError, TypeError, AttributeError):
        length = int.from_bytes(file.read(8), "little")
        if length > LARGEST_HEADER:
            return 0
        header = json.loads(file.read(length))
        ends = [int(part["data_offsets"][1]) for name, part in header.items() if name[:2] != "__"]
        return 8 + length + max(ends, default=0)
    return 0


def parsed(path: Path) -> dict[str, Any]:
    """A JSON object in a file; empty where there is none, or only half of one."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def files(folder: Path) -> dict[str, str]:
    """The files of a folder that a model consists of, by name: no optimizer, no log, no state."""
    return {
        path.name: str(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and _belongs(path.name)
    }


def _belongs(name: str) -> bool:
    if NOT_THE_MODEL.fullmatch(name):
        return False
    kinds = (WEIGHTS, TOKENIZER, CONFIG)
    return name in EXTRAS or name.endswith(".py") or any(kind.fullmatch(name) for kind in kinds)


def saved(step: int, folder: Path) -> Saved | None:
    """A folder in Hugging Face's layout as a checkpoint; None where it is not whole."""
    return None if lacking(folder) else Saved(step, str(folder), _kind(folder), files(folder))


def _kind(folder: Path) -> str:
    """Its format: what it lacks of being a model as it is."""
    if is_adapter(folder):
        return "peft"
    if not any((folder / f"model.safetensors{end}").exists() for end in ("", ".index.json")):
        return "bin"
    return "bare" if lacks_tokenizer(folder) else "hf"


def quiet(folder: Path, seconds: float) -> bool:
    """Whether no file of the folder was written to for so long."""
    stamps = [path.stat().st_mtime for path in folder.iterdir() if path.is_file()]
    return time.time() - max(stamps, default=0.0) >= seconds


def size(folder: Path) -> int:
    """Bytes of a folder's files, those in folders below it included."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
