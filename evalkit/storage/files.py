"""Where files and folders go, and how: a reader sees the old or the new one, never half of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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


@contextmanager
def made_whole(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes its name only once everything in it was written.

    What an earlier try left is removed.  Raises StoreError when the disk does not take it.
    """
    beside = folder.with_name(f"{folder.name}.part")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        yield beside
        beside.rename(folder)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise StoreError(
            f"cannot write {folder}: {error.strerror}; make room and run again"
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def gather(files: Mapping[str, str], folder: Path) -> None:
    """Puts files into a folder under the names given: hard links, which take no room.

    Whoever removes the originals takes nothing away.  Where links are not to be had (another
    file system), they are copied.  Raises FileNotFoundError where one is gone.
    """
    for name, source in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        original = Path(source).resolve()
        try:
            os.link(original, target)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(original, target)
