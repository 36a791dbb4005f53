"""Colours by what they mean, once: for figures in files, and for the page in both lights.

Improved and regressed differ in lightness as well as in hue, and never by colour alone.  Text
colours keep a contrast of 4.5 to 1 on their paper.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff",
    "panel": "#f5f6f8",
    "ink": "#1b1f24",
    "muted": "#5a626c",
    "rule": "#d7dce1",
    "improved": "#08705c",
    "regressed": "#b3281a",
    "inconclusive": "#855d00",
    "invalid": "#7a3d9c",
    "no-regression": "#48515b",
    "improved-tint": "#d8efe8",
    "regressed-tint": "#fbe0db",
    "inconclusive-tint": "#f7edd3",
    "invalid-tint": "#f0e4f6",
}
DARK = {
    "paper": "#14171b",
    "panel": "#1c2026",
    "ink": "#e7eaee",
    "muted": "#9ba5b0",
    "rule": "#353c45",
    "improved": "#63cdb2",
    "regressed": "#ff8f80",
    "inconclusive": "#e3b95c",
    "invalid": "#d0a5ec",
    "no-regression": "#b3bcc6",
    "improved-tint": "#153a33",
    "regressed-tint": "#48211d",
    "inconclusive-tint": "#3c3117",
    "invalid-tint": "#38264a",
}
OF_VERDICT = {
    "improved": "improved",
    "passed": "improved",
    "regressed": "regressed",
    "no_regression": "no-regression",
    "inconclusive": "inconclusive",
    "invalid": "invalid",
}


def colour(role: str) -> str:
    """The colour of a role in figures; the page turns it into the reader's own light."""
    return LIGHT[role]


def variables(colours: dict[str, str]) -> str:
    """The colours as CSS custom properties."""
    return " ".join(f"--{role}: {value};" for role, value in colours.items())
