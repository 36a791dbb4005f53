"""What a checkpoint *is*: one sha256 over its weights, tokenizer, chat template and adapter.

Never a name or a path: a folder overwritten in place is another checkpoint, one that is moved is
the same.  An adapter is nothing without its base, whose fingerprint is part of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path

from evalkit.errors import ModelError
from evalkit.identity.hashes import sha256_of

WEIGHTS = re.compile(r".*\.(safetensors|bin|gguf)")
TOKENIZER = re.compile(
    r"(tokenizer.*|vocab.*|merges\.txt|special_tokens_map\.json|added_tokens\.json"
    r"|spiece\.model|sentencepiece.*|chat_template.*)"
)
VOCABULARY = re.compile(r"vocab.*|merges\.txt|spiece\.model|sentencepiece.*|tokenizer\.model")
CONFIG = re.compile(r"((adapter_|generation_)?config\.json|.*\.index\.json)")
NOT_THE_MODEL = re.compile(r"(optimizer|scheduler|training_args|rng_state|scaler).*")
ADAPTER, BASE = "adapter_config.json", "base_model_name_or_path"
WHOLE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


def fingerprint(folder: Path, base: Path | None = None) -> str:
    """sha256 over the names and contents of a checkpoint's files.

    `base` is the folder of an adapter's base, where its own settings do not name one that is here.
    Raises ModelError where the folder is not there or holds no weights.
    """
    if not folder.is_dir():
        raise ModelError(f"no checkpoint at {folder}: the folder does not exist")
    try:
        return _fingerprint(folder, base or _base_here(folder))
    except OSError as error:
        raise ModelError(f"cannot read {error.filename or folder}: {error.strerror}") from None


def base_named(folder: Path) -> str:
    """The base that an adapter is for, a folder or a hub id; empty for a whole model."""
    if any((folder / name).exists() for name in WHOLE):
        return ""
    return str(_json(folder / ADAPTER).get(BASE) or "")


def _base_here(folder: Path) -> Path | None:
    named = base_named(folder)
    return Path(named) if named and Path(named).is_dir() else None


def _fingerprint(folder: Path, base: Path | None) -> str:
    files = sorted(path for path in folder.iterdir() if _counts(path.name) and not path.is_dir())
    if not any(WEIGHTS.fullmatch(path.name) for path in files):
        raise ModelError(f"no weights in {folder}: expected *.safetensors beside config.json")
    digest = hashlib.sha256()
    if base:
        digest.update(f"base\0{fingerprint(base)}\n".encode())
    for path, found in zip(files, sha256_of(files), strict=True):
        if base and path.name == ADAPTER:  # it names the base by its path
            found = hashlib.sha256(_nameless(path)).hexdigest()
        digest.update(f"{path.name}\0{found}\n".encode())
    return digest.hexdigest()


def _nameless(path: Path) -> bytes:
    """An adapter's settings without the name of its base."""
    return json.dumps({**_json(path), BASE: ""}, sort_keys=True).encode()


def _counts(name: str) -> bool:
    if NOT_THE_MODEL.fullmatch(name):
        return False
    return any(kind.fullmatch(name) for kind in (WEIGHTS, TOKENIZER, CONFIG))


def parts(folder: Path) -> dict[str, str]:
    """Short hashes of a checkpoint's tokenizer and chat template; `none` for one it lacks.

    Empty where the folder is not on this machine.  A difference in either is part of what is
    compared, and worth knowing: the same weights under another template are another model.
    """
    if not folder.is_dir():
        return {}
    found = {"chat_template": chat_template(folder), "tokenizer": _tokenizer(folder)}
    return {
        name: hashlib.sha256(content).hexdigest()[:8] if content else "none"
        for name, content in found.items()
    }


def chat_template(folder: Path) -> bytes:
    """The template itself, wherever it is kept: a file of its own, or the tokenizer's settings."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_bytes()
    for name in ("chat_template.json", "tokenizer_config.json"):
        template = _json(folder / name).get("chat_template")
        if template:
            text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
            return text.encode()
    return b""


def _tokenizer(folder: Path) -> bytes:
    """What turns text into tokens: not how batches are padded and cut, which saving changes."""
    fast = _json(folder / "tokenizer.json")
    if fast:
        kept = {
            name: value for name, value in fast.items() if name not in ("padding", "truncation")
        }
        return json.dumps(kept, sort_keys=True).encode()
    files = sorted(path for path in folder.iterdir() if VOCABULARY.fullmatch(path.name))
    return b"".join(path.read_bytes() for path in files)


def _json(path: Path) -> dict[str, object]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}
