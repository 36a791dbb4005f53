"""The store's Parquet files: their columns, and reading and writing them whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import StoreError
from evalkit.journal import repaired

if TYPE_CHECKING:
    import pyarrow as pa

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


def write_table(path: Path, rows: list[dict[str, Any]], columns: Mapping[str, str]) -> None:
    """Writes rows as Parquet, beside and renamed, once their number has been checked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "item": pa.binary(16),
        "string": pa.string(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "floats": pa.list_(pa.float64()),
        "booleans": pa.list_(pa.bool_()),
        "strings": pa.list_(pa.string()),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    whole = rows if _encodable(rows) else [_repair(row) for row in rows]
    arrays = [pa.array([row[n] for row in whole], schema.field(n).type) for n in columns]
    table = pa.Table.from_arrays(arrays, schema=schema)
    beside = path.with_suffix(f".{os.getpid()}.part")
    try:
        pq.write_table(
            table,
            beside,
            compression="zstd",
            use_dictionary=[*DICTIONARIES.intersection(columns)],
            write_statistics=False,
            write_page_checksum=True,  # a flipped bit is an error, not another score
        )
        if pq.read_metadata(beside).num_rows != len(rows):
            raise StoreError(f"cannot write {path}: rows were lost on the way; run again")
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; nothing was lost: "
            "make room and run again"
        ) from None


def _encodable(rows: list[dict[str, Any]]) -> bool:
    try:
        for row in rows:
            for value in row.values():
                if isinstance(value, str):
                    value.encode()
                elif isinstance(value, list) and value and isinstance(value[0], str):
                    "".join(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _repair(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: repaired(value) if isinstance(value, str | list) else value
        for name, value in row.items()
    }


def read_table(
    path: Path, columns: list[str] | None = None, dictionaries: tuple[str, ...] = ()
) -> pa.Table:
    """A Parquet file of the store; raises StoreError where it cannot be read.

    Text columns named in `dictionaries` come as their different values and indices of these.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # an open file: given a path, pyarrow looks for a file system first, at twice the cost
        with (
            pa.OSFile(str(path)) as source,
            pq.ParquetFile(
                source, read_dictionary=[*dictionaries], page_checksum_verification=True
            ) as file,
        ):
            absent = {*(columns or ())}.difference(file.schema_arrow.names)
            if absent:  # which reading would pass over
                raise pa.ArrowInvalid(f"no column {', '.join(sorted(absent))}")
            table = file.read(columns=columns, use_threads=False)
            if table.num_rows != file.metadata.num_rows:
                raise pa.ArrowInvalid(f"{table.num_rows} rows of {file.metadata.num_rows}")
            return table
    except (OSError, LookupError, ValueError, pa.ArrowException) as error:
        raise StoreError(
            f"{path}: not readable as Parquet ({str(error).splitlines()[0]}): "
            "restore it from a copy, or remove it and run again"
        ) from None
