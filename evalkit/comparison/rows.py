"""The rows of a table of scores as arrays, and where each belongs: items in order × epochs.

Rows are told apart by item and epoch, never by their position, and two rows for one sample are
an error: no rule says which of them counts.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from evalkit.storage.tables import SAMPLES

if TYPE_CHECKING:
    import pyarrow as pa

Numbers = NDArray[np.integer[Any]]
Items = NDArray[np.bytes_]

TEXT = [f"dictionary<values=string, indices=int{n}, ordered=0>" for n in (8, 16, 32, 64)]
_ITEMS: WeakValueDictionary[bytes, Items] = WeakValueDictionary()
_HELD = threading.Lock()  # a viewer's threads read cells at once

MOST_GAPS = 100  # samples due for each that is there: beyond it the epochs cannot be right


def known_items() -> dict[bytes, Items]:
    """The items in order of all cells that are held now, by the digest of their samples.

    The cells of a task have the same: they are read once, and are one array.
    """
    with _HELD:
        return dict(_ITEMS.items())


@dataclass(frozen=True)
class Rows:
    """Where the rows of a table belong: items in order × epochs."""

    items: Items
    epochs: int
    at: tuple[Numbers, Numbers] | None  # None: they lie there already, and none is missing

    @classmethod
    def of(cls, table: pa.Table, known: Mapping[bytes, Items] | None = None) -> Rows:
        """Tells where they belong; ValueError where two rows are of one sample.

        Of a table that was read without its samples, by `known`.
        """
        digest: bytes = (table.schema.metadata or {}).get(SAMPLES, b"")
        if known and digest in known:
            return cls(known[digest], max(1, len(table) // max(1, len(known[digest]))), None)
        found = cls._laid_out(table)
        if digest and found.at is None:
            with _HELD:
                _ITEMS[digest] = found.items
        return found

    @classmethod
    def _laid_out(cls, table: pa.Table) -> Rows:
        items, epoch = item_bytes(table), numbers(table, "epoch", "iu")
        epochs = int(epoch.max()) + 1 if len(epoch) else 1
        if len(epoch) and (epoch.min() < 0 or epochs > len(epoch)):
            raise ValueError(f"its epochs run from {epoch.min()} to {epoch.max()}")
        if _in_order(items, epoch, epochs):
            return cls(items[::epochs], epochs, None)
        unique, row = np.unique(items, return_inverse=True)
        if len(unique) * epochs > MOST_GAPS * len(row):
            raise ValueError(f"its epochs run from {epoch.min()} to {epoch.max()}")
        if len(np.unique(row * epochs + epoch)) < len(row):
            raise ValueError("a sample is there twice")
        return cls(unique, epochs, (row, epoch))

    def laid(self, column: NDArray[Any], absent: float) -> NDArray[Any]:
        """The column as items × epochs."""
        shape = (len(self.items), self.epochs)
        if self.at is None:
            return column.reshape(shape)
        whole = np.full(shape, absent, dtype=column.dtype)
        whole[self.at] = column
        return whole

    def per_item(self, column: NDArray[Any]) -> NDArray[Any]:
        """The column's value for each item, which all its rows share."""
        if self.at is None:
            return column[:: self.epochs]
        whole = np.zeros(len(self.items), dtype=column.dtype)
        whole[self.at[0]] = column
        return whole


def _in_order(items: Items, epoch: Numbers, epochs: int) -> bool:
    if len(items) % epochs:
        return False
    heads = items[::epochs]
    if not bool((heads[1:] > heads[:-1]).all()):
        return False
    return epochs == 1 or bool(
        (epoch.reshape(-1, epochs) == np.arange(epochs)).all()
        and (items.reshape(-1, epochs) == heads[:, None]).all()
    )


def item_bytes(table: pa.Table) -> Items:
    """The identities of a table's rows; ValueError where they are none."""
    column = _column(table, "item")
    if column.null_count or str(column.type) != "fixed_size_binary[16]":
        raise ValueError("its items are not identities of 16 bytes")
    return _buffer(column, "S16")


def numbers(table: pa.Table, name: str, kinds: str = "f") -> NDArray[Any]:
    """A column of numbers, NaN where there is none; ValueError where it is of something else."""
    column = _column(table, name)
    dtype = np.dtype(column.type.to_pandas_dtype())
    if dtype.kind not in kinds or (column.null_count and dtype.kind != "f"):
        raise ValueError(f"its column {name} does not hold a number in every row")
    found = _buffer(column, dtype)
    if not column.null_count:
        return found
    known = np.unpackbits(np.frombuffer(column.buffers()[0], np.uint8), bitorder="little")
    here = slice(column.offset, column.offset + len(column))
    return np.where(known[here] == 1, found, np.nan)


def coded(table: pa.Table, name: str) -> tuple[tuple[str, ...], Numbers]:
    """A column of text as its different values, and the index of each row's."""
    column = _column(table, name)
    if column.null_count or str(column.type) not in TEXT:
        raise ValueError(f"its column {name} does not hold a text in every row")
    names = tuple(column.dictionary.to_pylist())
    codes = _buffer(column.indices, column.indices.type.to_pandas_dtype())
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(names):  # in a damaged file
        raise ValueError(f"its column {name} does not hold a text in every row")
    return names, codes


def _column(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece; one that is that already is not copied, as pyarrow would."""
    found = table.column(name)
    return found.chunk(0) if found.num_chunks == 1 else found.combine_chunks()


def _buffer(column: pa.Array, dtype: Any) -> NDArray[Any]:
    """A column's memory as it is: `to_numpy` would import pandas, at half a second."""
    raw = column.buffers()[1]
    whole = np.frombuffer(raw, dtype) if raw else np.empty(0, dtype)
    return whole[column.offset : column.offset + len(column)]
