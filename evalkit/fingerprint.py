"""What a checkpoint *is*: one sha256 over its weights, tokenizer, chat template and adapter.

Never a name or a path: a folder overwritten in place is another checkpoint.  Hashing a large
checkpoint takes seconds, so each file's hash is kept by device, inode, size, mtime and ctime in
nanoseconds; ctime cannot be put back, so a file changed under an old time stamp is hashed anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path

from evalkit.errors import ModelError
from evalkit.files import cache_folder

WEIGHTS = re.compile(r".*\.(safetensors|bin|gguf)")
TOKENIZER = re.compile(
    r"(tokenizer.*|vocab.*|merges\.txt|special_tokens_map\.json|added_tokens\.json"
    r"|spiece\.model|sentencepiece.*|chat_template.*)"
)
VOCABULARY = re.compile(r"vocab.*|merges\.txt|spiece\.model|sentencepiece.*|tokenizer\.model")
CONFIG = re.compile(r"((adapter_|generation_)?config\.json|.*\.index\.json)")
NOT_THE_MODEL = re.compile(r"(optimizer|scheduler|training_args|rng_state|scaler).*")
COARSEST_SECONDS = 2.0
SHA256 = re.compile(r"[0-9a-f]{64}")


def fingerprint(folder: Path) -> str:
    """sha256 over the names and contents of a checkpoint's files.

    Raises ModelError where the folder is not there or holds no weights.
    """
    if not folder.is_dir():
        raise ModelError(f"no checkpoint at {folder}: the folder does not exist")
    try:
        return _fingerprint(folder)
    except OSError as error:
        raise ModelError(f"cannot read {error.filename or folder}: {error.strerror}") from None


def _fingerprint(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if _counts(path.name) and not path.is_dir())
    if not any(WEIGHTS.fullmatch(path.name) for path in files):
        raise ModelError(f"no weights in {folder}: expected *.safetensors beside config.json")
    cache = _Cache()
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0{cache.sha256(path)}\n".encode())
    cache.save()
    return digest.hexdigest()


def _counts(name: str) -> bool:
    if NOT_THE_MODEL.fullmatch(name):
        return False
    return any(kind.fullmatch(name) for kind in (WEIGHTS, TOKENIZER, CONFIG))


class _Cache:
    """Hashes of files seen before, in the user's cache folder; losing it only costs time."""

    def __init__(self) -> None:
        self.path = cache_folder() / "fingerprints.json"
        self.known: dict[str, str] = {}
        self.changed = False
        with suppress(OSError, ValueError, TypeError):
            self.known = dict(json.loads(self.path.read_text()))

    def sha256(self, path: Path) -> str:
        target = path.resolve()
        if path.is_symlink() and SHA256.fullmatch(target.name):
            return target.name  # a hub cache's blob goes by its own hash
        for _ in range(3):
            before = _stamp(path)
            if before in self.known:
                return self.known[before]
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if _stamp(path) == before:
                if _settled(path):
                    self.known[before] = found
                    self.changed = True
                return found
        raise ModelError(f"{path} is still being written: wait until the checkpoint is complete")

    def save(self) -> None:
        if not self.changed:
            return
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside = self.path.with_suffix(f".{os.getpid()}")
            beside.write_text(json.dumps(self.known))
            beside.replace(self.path)


def _settled(path: Path) -> bool:
    """Whether another write would get another ctime: clocks of file systems are coarse."""
    return abs(time.time() - path.stat().st_ctime) > COARSEST_SECONDS


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"


def parts(folder: Path) -> dict[str, str]:
    """Short hashes of a checkpoint's tokenizer and chat template; `none` for one it lacks.

    Empty where the folder is not on this machine.  A difference in either is part of what is
    compared, and worth knowing: the same weights under another template are another model.
    """
    if not folder.is_dir():
        return {}
    found = {"chat_template": _chat_template(folder), "tokenizer": _tokenizer(folder)}
    return {
        name: hashlib.sha256(content).hexdigest()[:8] if content else "none"
        for name, content in found.items()
    }


def _chat_template(folder: Path) -> bytes:
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
