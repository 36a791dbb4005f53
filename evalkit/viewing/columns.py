"""Columns of a cell's answers: kept in memory while they fit, read past where they do not.

A cell of long thoughts is larger than a viewer may be, and a click needs one row of it or a search
through one column.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

KEPT = 48 * 2**20
"""Bytes of columns kept; one of more than a third of it is read past instead."""

BATCH = 512  # rows held at once where a file is read past


class Columns:
    """The columns of many cells' answers, the last used ones in memory."""

    def __init__(self, kept: int = KEPT) -> None:
        self._most = kept
        self._kept: OrderedDict[tuple[Path, str], pa.Array] = OrderedDict()

    def batches(self, path: Path, name: str) -> Iterator[pa.Array]:
        """A column in the order of rows, whole or piece by piece; StoreError if unreadable."""
        key = (path, name)
        if key not in self._kept:
            with _opened(path) as file:
                if name not in file.schema_arrow.names:  # written before there was such a column
                    return
                if _size(file, name) > self._most // 3:
                    for batch in file.iter_batches(BATCH, columns=[name], use_threads=False):
                        yield batch.column(0)
                    return
                column = file.read(columns=[name], use_threads=False).column(0)
            self._kept[key] = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
            self._make_room()
        self._kept.move_to_end(key)
        yield self._kept[key]

    def row(self, path: Path, row: int, names: Sequence[str]) -> dict[str, Any]:
        """One row, of the columns that are there; StoreError if unreadable."""
        found = {
            name: self._kept[path, name][row].as_py()
            for name in names
            if (path, name) in self._kept
        }
        with _opened(path) as file:
            left = [name for name in file.schema_arrow.names if name in {*names} - {*found}]
            for batch in file.iter_batches(BATCH, columns=left, use_threads=False) if left else ():
                if row < len(batch):
                    return {**found, **batch.slice(row, 1).to_pylist()[0]}
                row -= len(batch)
        return found

    def _make_room(self) -> None:
        while sum(each.nbytes for each in self._kept.values()) > self._most and len(self._kept) > 1:
            self._kept.popitem(last=False)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with (
            pa.OSFile(str(path)) as source,
            pq.ParquetFile(source, page_checksum_verification=True) as file,
        ):
            yield file
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{path}: not readable as Parquet ({reason})") from None


def _size(file: pq.ParquetFile, name: str) -> int:
    """Bytes of a column once it is decoded, about."""
    meta = file.metadata
    at = [meta.schema.column(i).path.split(".")[0] for i in range(meta.num_columns)]
    return sum(
        meta.row_group(group).column(index).total_uncompressed_size
        for group in range(meta.num_row_groups)
        for index, column in enumerate(at)
        if column == name
    )


def give_back_memory() -> None:
    """Has freed memory of tables go back to the system at once, where that can be had."""
    import pyarrow as pa

    with suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(0)
