"""Python values as Arrow arrays, through their buffers.

`pyarrow.array` imports pandas, where it is installed, at half a second and 50 MiB; and text that
no encoding can carry (lone surrogates) is repaired here, on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.storage.journal import repaired

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS = {"int32": np.int32, "int64": np.int64, "float64": np.float64}
LISTS = {"floats": "float64", "booleans": "boolean", "strings": "string"}


def schema(columns: Mapping[str, str]) -> pa.Schema:
    """The Arrow schema of columns given by kind."""
    return _arrow().schema([(name, _type(kind)) for name, kind in columns.items()])


def batch(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pa.RecordBatch:
    """Rows as a batch of the columns."""
    arrays = [_array([row[name] for row in rows], kind) for name, kind in columns.items()]
    return _arrow().RecordBatch.from_arrays(arrays, schema=schema(columns))


def _type(kind: str) -> pa.DataType:
    pa = _arrow()
    if kind in LISTS:
        return pa.list_(_type(LISTS[kind]))
    plain = {"item": pa.binary(16), "boolean": pa.bool_(), "string": pa.string()}
    return plain[kind] if kind in plain else pa.from_numpy_dtype(NUMBERS[kind])


def _array(values: list[Any], kind: str) -> pa.Array:
    pa = _arrow()
    present = _validity(values)
    if kind in LISTS:
        inner = _array([each for value in values for each in value or ()], LISTS[kind])
        ends = _ends([len(value or ()) for value in values])
        return pa.Array.from_buffers(
            _type(kind), len(values), [present, pa.py_buffer(ends)], children=[inner]
        )
    if kind == "string":
        encoded = _encoded(values)
        ends = _ends([len(each) for each in encoded])
        buffers = [present, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    elif kind == "item":
        buffers = [
            present,
            pa.py_buffer(b"".join((value or b"").ljust(16, b"\0") for value in values)),
        ]
    elif kind == "boolean":
        bits = np.packbits(np.array(values, dtype=bool), bitorder="little")
        buffers = [present, pa.py_buffer(bits)]
    else:
        numbers = np.array([0 if v is None else v for v in values], dtype=NUMBERS[kind])
        buffers = [present, pa.py_buffer(numbers)]
    return pa.Array.from_buffers(_type(kind), len(values), buffers)


def _validity(values: list[Any]) -> pa.Buffer | None:
    """Which values there are, as bits; nothing where all are."""
    if None not in values:
        return None
    there = np.array([value is not None for value in values])
    return _arrow().py_buffer(np.packbits(there, bitorder="little"))


def _ends(lengths: list[int]) -> np.ndarray[Any, np.dtype[np.int32]]:
    ends = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:
        raise ValueError("one batch holds more than 2 GiB of text")
    return ends.astype(np.int32)


def _encoded(values: list[Any]) -> list[bytes]:
    try:
        return [value.encode() if value else b"" for value in values]
    except UnicodeEncodeError:
        return [repaired(value).encode() if value else b"" for value in values]


def _arrow() -> Any:
    import pyarrow as pa

    return pa
