"""The store's Parquet files: their columns, and reading and writing them whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import StoreError
from evalkit.storage import arrays

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ANSWER_COLUMNS = {
    "item": "item",
    "id": "string",
    "epoch": "int32",
    "request": "item",
    "question": "string",
    "text": "string",
    "reasoning": "string",
    "tool_calls": "string",
    "finish_reason": "string",
    "prompt_tokens": "int64",
    "completion_tokens": "int64",
    "loglikelihoods": "floats",
    "greedy": "booleans",
    "turns": "strings",
    "error": "string",
}

SCORE_COLUMNS = {
    "item": "item",
    "id": "string",
    "epoch": "int32",
    "value": "float64",
    "answer": "string",
    "target": "string",
    "outcome": "string",
    "stratum": "string",
    "cluster": "string",
    "details": "string",
}

DICTIONARIES = {"epoch", "finish_reason", "outcome", "stratum", "cluster", "value", "error"}
"""Columns with few different values."""

SAMPLE = ("item", "epoch")
"""Columns that tell of which sample a row is."""

SAMPLES = b"samples"
"""In a table's metadata: the digest of those columns, which need not be read if it is known."""

BATCH_ROWS, BATCH_BYTES = 4_096, 2**24
GROUP_ROWS, GROUP_BYTES = 16_384, 2**25
"""A row group ends with either; so a small table is one, and no table needs more memory."""


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> int:
    """Writes rows as Parquet, beside and renamed, once their number has been checked.

    Rows are taken as they are needed.  Returns how many there were.
    """
    import pyarrow.parquet as pq

    beside = path.with_suffix(f".{os.getpid()}.part")
    try:
        count = _write(beside, rows, columns)
        if pq.read_metadata(beside).num_rows != count:
            raise StoreError(f"cannot write {path}: rows were lost on the way; run again")
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
        return count
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; nothing was lost: "
            "make room and run again"
        ) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _write(path: Path, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    schema = arrays.schema(columns)
    seen = {name: hashlib.sha256() for name in SAMPLE if name in columns}
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[*DICTIONARIES.intersection(columns)],
        write_statistics=False,
        write_page_checksum=True,  # a flipped bit is an error, not another score
    ) as writer:
        for group in _groups(rows, columns):
            table = pa.Table.from_batches(group, schema)
            writer.write_table(table, row_group_size=GROUP_ROWS)
            count += table.num_rows
            for batch in group:
                for name, digest in seen.items():
                    digest.update(batch.column(name).buffers()[1])
        if len(seen) == len(SAMPLE):
            whole = "".join(digest.hexdigest() for digest in seen.values())
            writer.add_key_value_metadata({SAMPLES: f"{count} {whole}"})
    return count


def _groups(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]
) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    for batch in _batches(rows, columns):
        group.append(batch)
        if (
            sum(each.num_rows for each in group) >= GROUP_ROWS
            or sum(each.nbytes for each in group) >= GROUP_BYTES
        ):
            yield group
            group = []
    if group:
        yield group


def _batches(
    rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    texts = [name for name, kind in columns.items() if kind == "string"]
    held: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += sum(len(row[name] or "") for name in texts)
        if len(held) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield arrays.batch(held, columns)
            held, size = [], 0
    if held:
        yield arrays.batch(held, columns)


def read_table(
    path: Path,
    columns: list[str] | None = None,
    dictionaries: tuple[str, ...] = (),
    known: Container[bytes] = (),
) -> pa.Table:
    """A Parquet file of the store; raises StoreError where it cannot be read.

    Text columns named in `dictionaries` come as their different values and indices of these.  The
    columns `SAMPLE` are left out where their digest, which the metadata hold, is among `known`.
    """
    import pyarrow as pa

    with _opened(path, columns, dictionaries) as file:
        whole = file.metadata
        digest = _samples(whole)
        if columns and digest in known:
            columns = [name for name in columns if name not in SAMPLE]
        table = file.read(columns=columns, use_threads=False)
        if table.num_rows != whole.num_rows:
            raise pa.ArrowInvalid(f"{table.num_rows} rows of {whole.num_rows}")
        return table.replace_schema_metadata({SAMPLES: digest} if digest else None)


def _samples(whole: pq.FileMetaData) -> bytes:
    """The digest of a file's samples; nothing where others wrote it, or wrote it again."""
    digest: bytes = (whole.metadata or {}).get(SAMPLES, b"")
    return digest if digest.startswith(b"%d " % whole.num_rows) else b""


def read_rows(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file of the store in order, a batch in memory at a time.

    Raises StoreError where it cannot be read.
    """
    import pyarrow as pa

    count = 0
    with _opened(path, columns) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
            count += batch.num_rows
            yield from batch.to_pylist()
        if count != file.metadata.num_rows:
            raise pa.ArrowInvalid(f"{count} rows of {file.metadata.num_rows}")


@contextmanager
def _opened(
    path: Path, columns: list[str] | None, dictionaries: tuple[str, ...] = ()
) -> Iterator[pq.ParquetFile]:
    """The open file; what goes wrong with it is a StoreError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # an open file: given a path, pyarrow looks for a file system first, at twice the cost
        with (
            pa.OSFile(str(path)) as source,
            pq.ParquetFile(
                source,
                read_dictionary=[*dictionaries],
                page_checksum_verification=True,
                pre_buffer=False,  # which would hold the whole file
            ) as file,
        ):
            absent = {*(columns or ())}.difference(file.schema_arrow.names)
            if absent:  # which reading would pass over
                raise pa.ArrowInvalid(f"no column {', '.join(sorted(absent))}")
            yield file
    except (OSError, LookupError, ValueError, pa.ArrowException) as error:
        raise StoreError(
            f"{path}: not readable as Parquet ({str(error).splitlines()[0]}): "
            "restore it from a copy, or remove it and run again"
        ) from None
