"""A zip archive that somebody else wrote, read in memory: no name in it touches the disk.

Members may be compressed by Zstandard (method 93), which the zipfile of Python 3.11 lacks: such
a member is found by its header and decompressed by pyarrow.  Sizes are counted as they come out,
never believed, so that an archive that swells without end is refused.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from evalkit.errors import DataError

ZSTANDARD = 93
LOCAL_HEADER = struct.Struct("<4s22xHH")
PIECE = 1 << 20
MOST_MEMBERS = 1_000_000
MOST_MEMBER_BYTES = 1 << 28
MOST_ARCHIVE_BYTES = 1 << 34


class Archive:
    """An open archive; use it as a context."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left = MOST_ARCHIVE_BYTES
        try:
            self._file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None
        try:
            self._zip = zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            self._file.close()
            raise DataError(f"{path}: not a whole zip archive: {error}") from None
        # A name that is there twice: the last one wins, as for every reader of zip archives.
        self._members = {member.filename: member for member in self._zip.infolist()}
        if len(self._zip.infolist()) > MOST_MEMBERS:
            self._file.close()
            raise DataError(f"{path}: over {MOST_MEMBERS} files in one archive")

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    def names(self) -> list[str]:
        """Every name in the archive, in order."""
        return list(self._members)

    def read(self, name: str) -> bytes:
        """One member, whole; raises DataError where it is damaged or larger than allowed."""
        where = f"{self.path}: {name}"
        if name not in self._members:
            raise DataError(f"{where} is missing: the log was not finished, or is not one")
        member, content = self._members[name], bytearray()
        try:
            for piece in self._pieces(member):
                content += piece
                self._left -= len(piece)
                if len(content) > MOST_MEMBER_BYTES or self._left < 0:
                    raise DataError(f"{where}: swells beyond what a log can be; not read")
        except (zipfile.BadZipFile, OSError, EOFError, zlib.error, struct.error) as error:
            raise DataError(f"{where}: damaged: {error}") from None
        except (RuntimeError, NotImplementedError) as error:  # encrypted, or another method
            raise DataError(f"{where}: cannot be read: {error}") from None
        if zlib.crc32(content) != member.CRC:
            raise DataError(f"{where}: damaged: its checksum does not match")
        return bytes(content)

    def _pieces(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        if member.compress_type != ZSTANDARD:
            with self._zip.open(member) as stream:
                while piece := stream.read(PIECE):
                    yield piece
            return
        import pyarrow as pa

        with pa.CompressedInputStream(pa.BufferReader(self._raw(member)), "zstd") as stream:
            while piece := stream.read(PIECE):
                yield piece

    def _raw(self, member: zipfile.ZipInfo) -> bytes:
        """A member's bytes as they lie in the file."""
        self._file.seek(member.header_offset)
        mark, name, extra = LOCAL_HEADER.unpack(self._file.read(LOCAL_HEADER.size))
        if mark != b"PK\x03\x04" or member.compress_size > MOST_MEMBER_BYTES:
            raise zipfile.BadZipFile("no file where its directory says there is one")
        self._file.seek(name + extra, 1)
        return self._file.read(member.compress_size)
