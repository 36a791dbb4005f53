"""A file without a name, for what does not fit into memory; it is gone with whoever holds it."""

from __future__ import annotations

import os
import tempfile
import weakref

from evalkit.errors import StoreError


class Scratch:
    """A file in the folder for such (`TMPDIR`); raises StoreError where the disk takes none."""

    def __init__(self) -> None:
        self.size = 0
        try:
            with tempfile.TemporaryFile() as file:
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise _no_room(error) from None
        weakref.finalize(self, os.close, self._descriptor)

    def append(self, piece: bytes | bytearray) -> None:
        """Writes at the end; raises StoreError where the disk is full."""
        rest = memoryview(piece)
        try:
            while rest:
                written = os.pwrite(self._descriptor, rest, self.size)
                self.size += written
                rest = rest[written:]
        except OSError as error:
            raise _no_room(error) from None

    def read(self, at: int, size: int) -> bytes:
        """So many bytes from a place on; fewer at its end."""
        return os.pread(self._descriptor, size, at)


def _no_room(error: OSError) -> StoreError:
    return StoreError(
        f"cannot write to {tempfile.gettempdir()}: {error.strerror}; what was answered is kept: "
        "make room there, or set TMPDIR to a folder that has some, and run the same command again"
    )
