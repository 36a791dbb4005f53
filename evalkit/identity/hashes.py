"""sha256 of files, remembered: a large one is read once, beside others.

A hash is kept by device, inode, size, mtime and ctime in nanoseconds; ctime cannot be put back, so
a file changed under an old time stamp is read anew.  Losing what is kept only costs time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from evalkit.errors import ModelError
from evalkit.storage.files import cache_folder

COARSEST_SECONDS = 2.0
SHA256 = re.compile(r"[0-9a-f]{64}")
THREADS = 4
"""Files read at once, of one checkpoint: a disk gives no more to more of them."""

_saving = threading.Lock()


def sha256_of(paths: Sequence[Path]) -> list[str]:
    """The hash of each file; raises OSError, or ModelError on one that is still being written."""
    known, found = _kept(), dict[str, str]()
    with ThreadPoolExecutor(THREADS) as pool:
        hashes = list(pool.map(lambda path: _sha256(path, known, found), paths))
    if found:
        _keep(found)
    return hashes


def _sha256(path: Path, known: dict[str, str], found: dict[str, str]) -> str:
    target = path.resolve()
    if path.is_symlink() and SHA256.fullmatch(target.name):
        return target.name  # a hub cache's blob goes by its own hash
    for _ in range(3):
        before = _stamp(path)
        if before in known:
            return known[before]
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if _stamp(path) == before:
            if _settled(path):
                found[before] = digest
            return digest
    raise ModelError(f"{path} is still being written: wait until the checkpoint is complete")


def _file() -> Path:
    return cache_folder() / "fingerprints.json"


def _kept() -> dict[str, str]:
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(_file().read_text()))
    return {}


def _keep(found: dict[str, str]) -> None:
    """Adds hashes to those that are kept, whoever else adds some."""
    with _saving, suppress(OSError):
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps({**_kept(), **found}))
        beside.replace(path)


def _settled(path: Path) -> bool:
    """Whether another write would get another ctime: clocks of file systems are coarse."""
    return abs(time.time() - path.stat().st_ctime) > COARSEST_SECONDS


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"
