"""The figures of a report, in the order of reading."""

from __future__ import annotations

from evalkit.verdict import Report

from ._curves import curves
from ._forest import forest
from ._heat import heat
from ._pareto import pareto
from ._plot import Plot
from ._triage import triage

DRAWN = (heat, forest, curves, pareto, triage)


def figures(report: Report) -> list[Plot]:
    """Every figure for which there is something to show."""
    return [plot for draw in DRAWN if (plot := draw(report))]
