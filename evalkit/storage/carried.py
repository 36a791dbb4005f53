"""Cells carried here from elsewhere: out of a folder or an archive, into a results folder.

Only whole cells and what judges said are taken, each under the name of its own folder: whatever
else lies there, or however its paths begin, nothing is written outside the results.  A cell that
is here already is left as it is; one that is not comes whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

from evalkit.errors import StoreError
from evalkit.storage.store import safe

JUDGES = "judges"
LOCK = "lock"
MOST_MEMBER_BYTES = 1 << 33
MOST_MEMBERS = 1_000_000
PIECE = 1 << 20

Open = Callable[[], IO[bytes]]
Place = tuple[str, str]
"""A task's folder, or that of judges, and the cell's in it."""


def carry(source: Path, results: Path) -> tuple[list[Path], list[Path]]:
    """Puts the cells of a folder or an archive into the results; those new, and those here before.

    Raises StoreError where the source cannot be read, or has no cell.
    """
    scratch = results / f".arriving-{os.getpid()}"
    try:
        with ExitStack() as stack:
            places = _places(source, _members(source, stack))
            found = [results.joinpath(*place) for place in places]
            old = [folder for folder in found if folder.exists()]
            for place, files in places.items():
                if results.joinpath(*place) not in old:
                    _put(scratch.joinpath(*place), results.joinpath(*place), files)
            return [folder for folder in found if folder not in old], old
    except (EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
        raise StoreError(f"{source}: not a whole archive, or none at all ({said})") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or another method
        raise StoreError(f"{source}: cannot be read: {error}") from None
    except OSError as error:
        said = f"{error.filename or source}: {error.strerror or error}"
        raise StoreError(f"{said}; mend it and run again") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _places(source: Path, members: Iterator[tuple[str, Open]]) -> dict[Place, dict[str, Open]]:
    """The files of each cell: a path's last three parts are its task, its folder and its name."""
    found: dict[Place, dict[str, Open]] = {}
    for number, (name, opened) in enumerate(members):
        if number >= MOST_MEMBERS:
            raise StoreError(f"{source}: over {MOST_MEMBERS:,} files: not a results folder")
        task, folder, file = ("", "", *name.replace("\\", "/").split("/"))[-3:]
        if all(part and safe(part) == part for part in (task, folder, file)) and file != LOCK:
            found.setdefault((task, folder), {})[file] = opened
    if not any("cell.json" in files for files in found.values()):
        raise StoreError(f"{source}: no cell in it: give a results folder, or an archive of one")
    return {
        place: files for place, files in found.items() if "cell.json" in files or place[0] == JUDGES
    }


def _put(scratch: Path, folder: Path, files: dict[str, Open]) -> None:
    scratch.mkdir(parents=True)
    for name, opened in files.items():
        with opened() as source, (scratch / name).open("wb") as file:
            while piece := source.read(PIECE):
                file.write(piece)
                if file.tell() > MOST_MEMBER_BYTES:
                    raise StoreError(f"{folder / name}: swells beyond what a cell can be")
            file.flush()
            os.fsync(file.fileno())
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch.rename(folder)


def _members(source: Path, stack: ExitStack) -> Iterator[tuple[str, Open]]:
    """Every file of the source, by its path there; links are none."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(source).as_posix(), partial(_opened, path)
    elif zipfile.is_zipfile(source):
        archive = stack.enter_context(zipfile.ZipFile(source))
        for info in archive.infolist():
            yield info.filename, partial(archive.open, info)
    else:
        packed = stack.enter_context(tarfile.open(source, errorlevel=2))  # noqa: SIM115
        for member in packed:
            if member.isreg():
                yield member.name, partial(_inside, packed, member)


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def _inside(packed: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    found = packed.extractfile(member)
    if found is None:
        raise tarfile.ReadError(f"{member.name} is no file")
    return found
