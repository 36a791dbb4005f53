"""A cell's scores read from the store in one go, on the oriented scale.

A score that is no number is a missing sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.comparison.arm import MISSING, Arm, Floats
from evalkit.comparison.comparability import exam_of
from evalkit.comparison.rows import Items, Numbers, Rows, coded, known_items, numbers
from evalkit.errors import StoreError
from evalkit.stats.scales import orient
from evalkit.storage.store import Cell
from evalkit.storage.tables import read_table

if TYPE_CHECKING:
    import pyarrow as pa

    from evalkit.comparison.sides import Side

COLUMNS = ("item", "epoch", "value", "outcome", "cluster")
CODED = ("outcome", "cluster", "stratum")


def load(cell: Cell, meta: Mapping[str, Any], preset: str) -> Arm:
    """A cell's scores; raises StoreError where they cannot be read."""
    columns = [*COLUMNS, "stratum"] if weights_of(cell, meta, preset) else [*COLUMNS]
    known = known_items()
    table = read_table(cell.scores_path(preset), columns, dictionaries=CODED, known=known)
    return of_table(table, cell, meta, preset, known)


def of_table(
    table: pa.Table,
    cell: Cell,
    meta: Mapping[str, Any],
    preset: str,
    known: Mapping[bytes, Items] | None = None,
) -> Arm:
    """The scores of a table that was read already, its texts as dictionaries."""
    scale, weights = scale_of(cell, meta, preset), weights_of(cell, meta, preset)
    try:
        return _arm(table, Rows.of(table, known), scale, weights)
    except ValueError as error:
        path = cell.scores_path(preset)
        raise StoreError(f"{path}: {error}; remove the file, and run again") from None


def scale_of(cell: Cell, meta: Mapping[str, Any], preset: str) -> tuple[float, float, bool]:
    """The bounds of a preset's grades, else the task's own, and whether higher is better.

    Raises StoreError where they are no scale.
    """
    scale = meta.get("scales", {}).get(preset, meta)
    low, high = scale.get("bounds", (0.0, 1.0))
    higher = bool(scale.get("higher_is_better", True))
    try:
        orient([], (low, high), higher)
    except ValueError as error:
        reason = f"{cell.path / 'cell.json'}: {error}: no margin can be stated on such a scale"
        raise StoreError(reason) from None
    return low, high, higher


def strata_of(side: Side, items: Items) -> tuple[tuple[str, ...], Numbers]:
    """The names of a cell's strata, and the number of each of these items' of it."""
    path = side.cell.scores_path(side.preset)
    table = read_table(path, ["item", "epoch", "stratum"], dictionaries=("stratum",))
    try:
        rows = Rows.of(table)
        names, codes = coded(table, "stratum")
    except ValueError as error:
        raise StoreError(f"{path}: {error}; remove the file, and run again") from None
    own = rows.per_item(codes)
    return names, own[np.searchsorted(rows.items, items)]


def weights_of(cell: Cell, meta: Mapping[str, Any], preset: str) -> dict[str, float]:
    """The weights of an exam's strata; StoreError where they are none."""
    found = exam_of(meta, preset).get("weights", {})
    with suppress(TypeError, ValueError, AttributeError):
        weights = {str(name): float(weight) for name, weight in found.items()}
        if not weights or (min(weights.values()) >= 0 and 0 < sum(weights.values()) < math.inf):
            return weights
    reason = f"{cell.path / 'cell.json'}: its weights of strata are not shares: run again"
    raise StoreError(reason)


def _arm(
    table: pa.Table,
    rows: Rows,
    native: tuple[float, float, bool],
    weights: Mapping[str, float],
) -> Arm:
    values = rows.laid(numbers(table, "value").astype(np.float64, copy=False), np.nan)
    classes, ends = coded(table, "outcome")
    names, codes = coded(table, "cluster")
    absent = classes.index(MISSING) if MISSING in classes else len(classes)
    return Arm(
        rows.items,
        _oriented(values, *native),
        rows.laid(ends, absent),
        classes if absent < len(classes) else (*classes, MISSING),
        _clusters(rows, names, codes),
        native,
        *(_strata(rows, table, weights) if weights else ()),
    )


def _oriented(values: Floats, low: float, high: float, higher: bool) -> Floats:
    finite = np.isfinite(values)
    known = values if finite.all() else np.where(finite, values, np.nan)
    if (low, high, higher) == (0.0, 1.0, True):
        return known
    return orient(known, (low, high), higher)


def _clusters(rows: Rows, names: tuple[str, ...], codes: Numbers) -> Numbers | None:
    """Clusters by number; an item without a name for its cluster is one of its own."""
    if not any(names):
        return None
    own = names.index("") if "" in names else -1
    found = rows.per_item(codes)
    return np.where(found == own, len(names) + np.arange(len(found)), found)


def _strata(
    rows: Rows, table: pa.Table, weights: Mapping[str, float]
) -> tuple[Numbers, Mapping[str, float]]:
    """Strata by number, and the weight of each; ValueError where one has none."""
    names, codes = coded(table, "stratum")
    there = {names[code] for code in np.unique(codes)}
    for name in sorted(there - weights.keys()):
        raise ValueError(f"the weights do not name its stratum {name!r}")
    order = [*weights]
    number = np.array([order.index(name) if name in there else -1 for name in names], dtype=np.intp)
    return rows.per_item(number[codes]), weights
