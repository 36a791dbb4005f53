"""Text and numbers for people: whatever a name contains, and however wide a number is.

Names come from configurations, model repositories and model output, so they are hostile until
`clean` has been through them.
"""

from __future__ import annotations

import math
import unicodedata

MISSING = "-"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Controls, formats (bidi, zero width), lone surrogates and private use draw nothing, or lie.
_UNSHOWN = {"Cc", "Cf", "Cs", "Co"}
_SPACES = {"Zs", "Zl", "Zp"}


def clean(text: str, limit: int = 200) -> str:
    """The text on one line, at most `limit` characters, each of them visible."""
    cut = text[: limit + 1]
    shown = " ".join("".join(_visible(char) for char in cut).split())
    return shown[: limit - 1] + "…" if len(cut) > limit else shown


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category in _SPACES or char in "\t\n\v\f\r":
        return " "
    nonchar = ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF
    return REPLACEMENT if nonchar or category in _UNSHOWN else char


def percent(score: float | None) -> str:
    """A score as a percentage with one decimal: 0.2977 is 29.8."""
    return MISSING if score is None else f"{100 * score:.1f}"


def points(delta: float | None) -> str:
    """A difference in points with its sign: -0.0562 is −5.6."""
    if delta is None:
        return MISSING
    rounded = round(100 * delta, 1)
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else ''}{abs(rounded):.1f}"


def interval(ci: tuple[float, float] | None) -> str:
    """An interval in points: [−6.4, −4.9]."""
    return MISSING if ci is None else f"[{points(ci[0])}, {points(ci[1])}]"


def p_value(p: float | None) -> str:
    """A p-value with three decimals, never a false zero."""
    if p is None:
        return MISSING
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def count(number: float) -> str:
    """A count with thousands apart, or a sum of scores with one decimal: 1,832 or 17.5."""
    if math.isclose(number, round(number), abs_tol=1e-9):
        return f"{round(number):,}"
    return f"{number:,.1f}"


def plural(number: int, noun: str) -> str:
    """1 task, 2 tasks."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
