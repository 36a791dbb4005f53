"""Where files go, and how: a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from evalkit.errors import StoreError


def cache_folder() -> Path:
    """The user's folder for what can be made again: `$XDG_CACHE_HOME/evalkit`."""
    home = os.path.expanduser("~").replace("~", os.devnull)  # no home, no cache
    return Path(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache") / "evalkit"


def write_beside(path: Path, content: bytes) -> None:
    """Writes a whole file atomically; raises StoreError when the disk does not take it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror}; make room and run again"
        ) from None
