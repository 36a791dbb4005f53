"""The rows of a table of scores as arrays, and where each belongs: items in order × epochs.

Rows are told apart by item and epoch, never by their position, and two rows for one sample are
an error: no rule says which of them counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Numbers = NDArray[np.integer[Any]]
Items = NDArray[np.bytes_]

MOST_GAPS = 100  # samples due for each that is there: beyond it the epochs cannot be right


@dataclass(frozen=True)
class Rows:
    """Where the rows of a table belong: items in order × epochs."""

    items: Items
    epochs: int
    at: tuple[Numbers, Numbers] | None  # None: they lie there already, and none is missing

    @classmethod
    def of(cls, table: pa.Table) -> Rows:
        """Tells where they belong; ValueError where two rows are of one sample."""
        items, epoch = _item_bytes(table), numbers(table, "epoch")
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


def _item_bytes(table: pa.Table) -> Items:
    column = table.column("item")
    if column.null_count or str(column.type) != "fixed_size_binary[16]":
        raise ValueError("its items are not identities of 16 bytes")
    column = column.combine_chunks()
    raw = column.buffers()[1]
    whole = np.frombuffer(raw, dtype="S16") if raw else np.empty(0, dtype="S16")
    return whole[column.offset : column.offset + len(column)]


def numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """A column of numbers; ValueError where it is of something else."""
    column = table.column(name).to_numpy()
    if column.dtype.kind not in ("iu" if name == "epoch" else "fiu"):
        raise ValueError(f"its column {name} holds something else than numbers")
    return np.asarray(column)


def coded(table: pa.Table, name: str) -> tuple[tuple[str, ...], Numbers]:
    """A column of text as its different values, and the index of each row's."""
    column = table.column(name)
    if column.null_count:
        raise ValueError(f"its column {name} has gaps")
    column = column.combine_chunks()
    return tuple(column.dictionary.to_pylist()), column.indices.to_numpy()
