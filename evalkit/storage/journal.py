"""An append-only file of JSON lines that survives a kill at any instant.

Each line is written at once; a thread of its own makes the disk keep what was written every
100 ms.  A torn last line, the mark of a kill, is dropped when the file is opened again, and what
it held is asked again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from evalkit.errors import StoreError

SYNC_SECONDS = 0.1


class Journal:
    """Appends JSON lines to a file; one writer.

    What can be made again needs no disk that keeps it: `durable=False`.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self._durable = durable
        self._failure: OSError | None = None
        self._closing = threading.Event()
        try:
            drop_torn_tail(path)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _disk(path, error) from None
        self._dirty = False
        self._thread = threading.Thread(target=self._sync_often, name="journal", daemon=True)
        if durable:
            self._thread.start()

    def append(self, row: dict[str, Any]) -> None:
        """Writes one line; raises StoreError when the disk does not take it."""
        if self._failure:
            raise _disk(self.path, self._failure)
        line = dumps(row) + b"\n"
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            self._failure = error  # half a line may be there: nothing may follow it
            raise _disk(self.path, error) from None
        self._dirty = True

    def _sync_often(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            self._sync()

    def _sync(self) -> None:
        if self._dirty:
            self._dirty = False
            try:
                os.fdatasync(self._file)
            except OSError as error:
                self._failure = error

    def close(self) -> None:
        """Makes the disk keep everything, then lets go of the file."""
        self._closing.set()
        if self._durable:
            self._thread.join()
            self._sync()
        os.close(self._file)
        if self._failure:
            raise _disk(self.path, self._failure)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def dumps(row: Any) -> bytes:
    """JSON; text that no encoding can carry (lone surrogates) is repaired with U+FFFD."""
    try:
        return orjson.dumps(row)
    except TypeError:
        return orjson.dumps(repaired(row))


def repaired(value: Any) -> Any:
    """The same value with every lone surrogate replaced by U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {repaired(name): repaired(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [repaired(part) for part in value]
    return value


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a journal, in the order written; none if there is no file."""
    return (row for _, row in located(path))


def located(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole lines of a journal, each with the byte at which it begins.

    Raises StoreError on a line in the middle that is not JSON: that is damage, not a kill.
    """
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                raise damaged(path, number) from None
            if not isinstance(row, dict):
                raise damaged(path, number)
            yield offset, row
            offset += len(line)


def damaged(path: Path, number: int) -> StoreError:
    """The error of a line that is not what was once written there."""
    return StoreError(
        f"{path}:{number}: not a row; the file was damaged after it was written: "
        "remove that line and run again, and only its sample is asked again"
    )


def drop_torn_tail(path: Path) -> None:
    """Cuts off half a line at the end of a file, the mark of a kill."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        keep = size
        while keep:
            start = max(0, keep - 65_536)
            file.seek(start)
            end = file.read(keep - start).rfind(b"\n")
            if end >= 0:
                keep = start + end + 1
                break
            keep = start
        if keep < size:
            file.truncate(keep)


def _disk(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error.strerror}; what was answered so far is kept: "
        "make room (or mend the folder) and run the same command again"
    )
