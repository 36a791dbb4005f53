"""Figures on the canvas: as SVG within a page, and as SVG and PNG files.

Equal plots give equal bytes: nothing of the user's matplotlib settings, no dates, ids by content.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

from ._fonts import FAMILIES, fallbacks, undrawn
from ._palette import LIGHT, colour
from ._plot import SMALL, Plot, page, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DPI = 72  # one unit of an SVG is one pixel
PNG_DPI = 216  # three times that, for print
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "evalkit",
    "svg.fonttype": "none",  # text stays text: searchable, selectable, in the reader's fonts
    "text.parse_math": False,  # a $ in a name is a $
    "axes.unicode_minus": True,
    "path.simplify": False,
}
NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}
ROLES = {value: role for role, value in LIGHT.items()}

STYLE = re.compile(r' style="([^"]*)"')
ID = re.compile(r' id="([^"]*)"')
REFERENCE = re.compile(r'(xlink:href="|url\()#([^")]*)')
DROPPED = re.compile(
    r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|\s*<metadata>.*?</metadata>"
    r"|<style.*?</style>|\s*<defs>\s*</defs>",
    re.DOTALL,
)


def png(plot: Plot) -> bytes:
    """The figure as pixels; where no font here has some of its characters, it says so."""
    file = BytesIO()
    with _drawn(plot) as figure:
        if missing := undrawn("".join(text.get_text() for text in _texts(figure))):
            told = f"no font here draws {''.join(missing[:8])}: the SVG shows them"
            write(
                page(figure), (plot.width - 8, plot.height - 8), told, "muted", ha="right", size=9
            )
        figure.savefig(file, format="png", dpi=PNG_DPI, metadata={"Software": None})
    return file.getvalue()


def svg(plot: Plot) -> bytes:
    """The figure as a file of its own, in fonts that the reader has."""
    whole = STYLE.sub(_with_families, _raw(plot))
    title = f"<title>{escape(plot.title)}</title><desc>{escape(plot.says)}</desc>"
    return re.sub(r"(<svg [^>]*>)", rf"\1{_literal(title)}", whole, count=1).encode()


def inline(plot: Plot) -> str:
    """The figure as a part of the page: its colours are the page's, and so are its fonts.

    Nothing in it needs a style, which the page's policy would refuse.
    """
    text = STYLE.sub(_attributes, DROPPED.sub("", _raw(plot)))
    used = {name for _, name in REFERENCE.findall(text)}
    text = ID.sub(lambda found: _own_id(plot, found[1], used), text)
    text = REFERENCE.sub(lambda f: f"{f[1].removeprefix('xlink:')}#{plot.name}-{f[2]}", text)
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text)
    text = re.sub("|".join(ROLES), lambda f: f"var(--{ROLES[f[0]]})", text)
    named = f'role="img" aria-labelledby="{plot.name}-title {plot.name}-says" class="figure"'
    head = (
        f'<svg viewBox="0 0 {plot.width} {plot.height}" {named}>'
        f'<title id="{plot.name}-title">{escape(plot.title)}</title>'
        f'<desc id="{plot.name}-says">{escape(plot.says)}</desc>'
    )
    return re.sub(r"<svg [^>]*>", lambda _: head, text, count=1).strip()


def _raw(plot: Plot) -> str:
    file = StringIO()
    with _drawn(plot) as figure:
        figure.savefig(file, format="svg", metadata=NOTHING)
    return file.getvalue()


@contextmanager
def _drawn(plot: Plot) -> Iterator[Figure]:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # no bold: as it is
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        figure = Figure((plot.width / DPI, plot.height / DPI), dpi=DPI)
        figure.patch.set_facecolor(colour("paper"))
        matplotlib.rcParams["font.size"] = SMALL
        plot.draw(figure)
        texts = _texts(figure)
        families = ["DejaVu Sans", *fallbacks("".join(text.get_text() for text in texts))]
        for text in texts:
            text.set_fontfamily(families)
        yield figure


def _texts(figure: Figure) -> list[Text]:
    from matplotlib.text import Text

    return [artist for artist in figure.findobj() if isinstance(artist, Text)]


def _attributes(found: re.Match[str]) -> str:
    """A style as the attributes that mean the same."""
    pairs = [part.partition(":") for part in found[1].split(";") if part.strip()]
    kept = [(name.strip(), value.strip()) for name, _, value in pairs]
    return "".join(f' {name}="{value}"' for name, value in kept if name != "font-family")


def _with_families(found: re.Match[str]) -> str:
    style = re.sub(r"font-family:[^;]*", f"font-family: {FAMILIES}", found[1])
    return f' style="{style}"'


def _own_id(plot: Plot, name: str, used: set[str]) -> str:
    return f' id="{plot.name}-{name}"' if name in used else ""


def _literal(text: str) -> str:
    return text.replace("\\", r"\\")
