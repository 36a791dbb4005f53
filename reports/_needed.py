"""What an inconclusive unit would need to be decided."""

from __future__ import annotations

import math

from ._rows import Row
from ._text import count, percent

Z = 1.6449  # a limit of the 90 % interval lies this many standard errors from the estimate
Z80 = 2.486  # z(.95) + z(.80): an unchanged model passes 80 % of times at a margin of Z80 * SE


def undecided(row: Row) -> bool:
    """Whether a margin was set that the data can neither keep to nor break."""
    return row.unit.verdict == "inconclusive" and bool(row.unit.margin)


def needed(row: Row) -> str:
    """In words: what the unit could have shown, and how many items would decide it.

    n' = n (2.486 SE / m)^2 items let an unchanged model pass 80 % of the time at the margin m.
    """
    told = []
    if row.cell is not None and row.cell.mde80 is not None:
        fall = f"a fall of {percent(row.cell.mde80)} points or more"
        told.append(f"{fall} is called regressed in 80 % of runs")
    margin, ci = row.unit.margin, row.unit.ci
    if not margin or ci is None:
        told.append("no margin is set, so it can regress but not pass")
        return "; ".join(told)
    factor = (Z80 * (ci[1] - ci[0]) / (2 * Z) / margin) ** 2
    told.append(_items(factor, row, f"{percent(margin)} points"))
    return "; ".join(told)


def _items(factor: float, row: Row, margin: str) -> str:
    if factor <= 1:
        return f"these items can decide at {margin}, but the estimate lies too near that margin"
    if row.cell is None or not row.cell.n:
        return f"{factor:.1f} times the items would decide at {margin}"
    items = math.ceil(row.cell.n * factor)
    return f"{count(items)} items instead of {count(row.cell.n)} would decide at {margin}"
