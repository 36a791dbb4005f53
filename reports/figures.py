"""`figures/`: every figure of the page as SVG and as PNG, for papers and slides.

They are drawn for white paper.  Text in an SVG stays text, in the reader's own fonts.
"""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.verdict import Pictures, Report

from ._canvas import png, svg
from ._figures import figures


def draw(report: Report) -> Iterator[tuple[str, bytes]]:
    """The files, by name."""
    for plot in figures(report):
        yield f"{plot.name}.svg", svg(plot)
        yield f"{plot.name}.png", png(plot)


RENDERERS = (Pictures("figures", "figures", draw, ("matplotlib",)),)
