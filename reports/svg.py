"""`report.svg`: the terminal's table as a picture, in colour, for a README or a slide."""

from __future__ import annotations

import re
from io import StringIO

from rich.console import Console

from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.verdict import Renderer, Report

from .terminal import WIDTH, show

# Fonts are the reader's own: a picture fetches nothing from anywhere.
FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def picture(report: Report, _: Evidence = NO_SAMPLES) -> str:
    """The table as an SVG, the same bytes for the same report."""
    console = Console(
        file=StringIO(),
        width=WIDTH,
        record=True,
        force_terminal=True,
        color_system="truecolor",
        _environ={},
    )
    show(report, console)
    return FONT_FACE.sub("", console.export_svg(title="evalkit", unique_id="evalkit"))


RENDERERS = (Renderer("svg", "report.svg", picture),)
