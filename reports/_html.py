"""The page's template and its safety: what is escaped, what may run, how data are embedded.

The policy lets nothing in but one style and one script, by the hash of what they are.  Data stand
in a block that no browser runs, as ASCII JSON in which nothing can end that block.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from ._fonts import FAMILIES, MONOSPACE
from ._heat import STRENGTHS
from ._palette import DARK, LIGHT, variables
from ._text import clean

TEMPLATES = Path(__file__).parent / "templates"
LINES = 400
ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def template(functions: Mapping[str, Any]) -> Template:
    """The page's template, with what it may call."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["trusted"] = Markup
    environment.globals |= {**functions, "multiline": multiline}
    return environment.get_template("page.html")


def shown(text: object) -> Markup:
    """Any value as text of the page: cleaned and escaped, unless it was made here."""
    if isinstance(text, Markup):
        return text
    return Markup(escape(clean(str(text), 600)))


def multiline(text: str) -> Markup:
    """A text of several lines, each of them cleaned."""
    lines = text.splitlines()[:LINES]
    return Markup(escape("\n".join(_line(line) for line in lines)))


def _line(line: str) -> str:
    indent = len(line) - len(line.lstrip(" "))
    return " " * indent + clean(line, 400)


def embedded(data: object) -> Markup:
    """Data as JSON that can stand in a block of the page, whatever texts it holds."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII
    for char, instead in ESCAPES.items():
        text = text.replace(char, instead)
    return Markup(text)


def policy(style: str, script: str, *, served: bool) -> str:
    """What the page may do: nothing but its own style and script, and asking who served it."""
    asking = " connect-src 'self';" if served else ""
    return (
        f"default-src 'none';{asking} style-src {_pin(style)}; script-src {_pin(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _pin(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def style() -> str:
    """The page's style, in both lights."""
    text = (TEMPLATES / "page.css").read_text("utf-8")
    shades = "\n".join(
        f".map td.s{step} {{ --shade: {100 * shade:.0f}%; }}"
        for step, shade in enumerate(STRENGTHS, 1)
    )
    filled = {
        "LIGHT": variables(LIGHT),
        "DARK": variables(DARK),
        "SANS": FAMILIES,
        "MONO": MONOSPACE,
        "SHADES": shades,
    }
    for name, value in filled.items():
        text = text.replace(f"/*{name}*/", value)
    return text


@cache
def script() -> str:
    """The page's script."""
    return (TEMPLATES / "page.js").read_text("utf-8")
