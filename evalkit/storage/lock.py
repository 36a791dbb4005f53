"""One writer per folder: a lock file that names its owner, and is broken when the owner died."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evalkit.errors import StoreError


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Holds the lock file for as long as the context lasts.

    Raises StoreError naming the process or host that holds it already.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _take(path)
    except OSError as error:
        raise StoreError(f"cannot write {path.parent}: {error.strerror}; mend the folder") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def held(path: Path) -> bool:
    """Whether a process that is alive holds the lock file, as far as can be told from here."""
    owner: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        owner = dict(json.loads(path.read_bytes()))
    if owner.get("host") != socket.gethostname():
        return bool(owner)
    return bool(owner.get("started") == _started(owner.get("pid", 0)) != "")


def _take(path: Path) -> None:
    mine = path.with_name(f"{path.name}.{os.getpid()}")
    mine.write_text(
        json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": _started()})
    )
    try:
        for _ in range(2):
            try:
                os.link(mine, path)  # appears whole or not at all
                return
            except FileExistsError:
                _break_if_stale(path)
        raise StoreError(f"{path.parent} is being written by another run: wait for it")
    finally:
        mine.unlink(missing_ok=True)


def _break_if_stale(path: Path) -> None:
    owner: dict[str, Any] = {}
    seen = b""
    with suppress(OSError, ValueError, TypeError):
        seen = path.read_bytes()
        owner = dict(json.loads(seen))
    here = owner.get("host") == socket.gethostname()
    if here and held(path):
        raise StoreError(
            f"{path.parent} is being written by process {owner['pid']}: wait for it, or stop it"
        )
    if owner and not here:
        raise StoreError(
            f"{path.parent} is being written on host {owner.get('host')}: wait for that run, "
            f"or remove {path} if it has died"
        )
    _remove(path, seen)


def _remove(path: Path, seen: bytes) -> None:
    """Removes the lock that was seen, and not the one of a run that has broken it since."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.stale")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if aside.read_bytes() != seen:
            with suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink()


def alive(pid: int) -> bool:
    """Whether a process of that number does anything yet."""
    return _started(pid) != ""


def _started(pid: int | None = None) -> str:
    """When a process began, so that a reused number is not taken for its former owner."""
    try:
        stat = Path(f"/proc/{pid or os.getpid()}/stat").read_text()
    except OSError:
        return _alive(pid) if pid else "?"
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]  # a zombie writes nothing more


def _alive(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        return "?"
    return "?" if not Path("/proc/self/stat").exists() else ""
