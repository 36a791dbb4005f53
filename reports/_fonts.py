"""Fonts: the reader's own in SVG and HTML, the installed ones in pictures made of pixels."""

from __future__ import annotations

from functools import cache

FAMILIES = (
    "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'PingFang SC', "
    "'Hiragino Sans', 'Microsoft YaHei', 'Noto Sans CJK SC', 'Source Han Sans SC', "
    "'Droid Sans Fallback', sans-serif"
)
"""The reader's own sans serif, then those that hold Chinese, Japanese and Korean."""

MONOSPACE = (
    "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', "
    "'Noto Sans Mono CJK SC', 'PingFang SC', 'Microsoft YaHei', 'Droid Sans Fallback', monospace"
)

LAST_RESORT = "Last Resort"  # has every character, and draws a box for each


def fallbacks(text: str) -> list[str]:
    """Names of installed fonts that together draw what DejaVu Sans does not.

    That one is always there.  A character that no font has is left out.
    """
    wanted = _beyond(text, _characters(_own()))
    names: list[str] = []
    for name, path in _installed() if wanted else ():
        if had := wanted & _characters(path):
            names.append(name)
            wanted -= had
        if not wanted:
            break
    return names


def undrawn(text: str) -> list[str]:
    """The characters of a text that no installed font has, in order, each once."""
    wanted = _beyond(text, _characters(_own()))
    for _, path in _installed() if wanted else ():
        wanted -= _characters(path)
    return [chr(code) for code in sorted(wanted)]


def _beyond(text: str, had: frozenset[int]) -> set[int]:
    return {ord(char) for char in text if not char.isspace()} - had


def _own() -> str:
    from matplotlib.font_manager import FontProperties, findfont

    return findfont(FontProperties(family=["DejaVu Sans"]))


def _installed() -> list[tuple[str, str]]:
    """(name, file) of every font there is, in an order that does not depend on the disk's."""
    from matplotlib.font_manager import fontManager

    plain = [f for f in fontManager.ttflist if f.style == "normal" and LAST_RESORT not in f.name]
    return sorted({(font.name, font.fname) for font in plain})


@cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(path).get_charmap())
