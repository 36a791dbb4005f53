"""Escapes for GitHub's Markdown: a name shows as itself and can neither format, link nor notify.

`Escaped` is what the template may insert as it is; anything else goes through `prose`.
"""

from __future__ import annotations

import re
from html import escape

from markupsafe import Markup

from ._text import clean

Escaped = Markup
# A colon is left alone but in an address (https://) and in an emoji (:x:).
SPECIAL = re.compile(r"([\\`*_{}\[\]()#!|~$^=]|:(?=//|\w))")
LIST_MARK = re.compile(r"^(\d*)([-+.])")
# Both would notify people or other threads; a zero-width space after the sign keeps them text.
CALL = re.compile(r"(@|\\#|GH-)(?=\w)", re.IGNORECASE)


def prose(text: object, limit: int = 500) -> Escaped:
    """A sentence that is nothing but text, on one line, also inside a table."""
    if isinstance(text, Escaped):
        return text
    shown = escape(clean(str(text), limit), quote=False)
    shown = LIST_MARK.sub(r"\1\\\2", SPECIAL.sub(r"\\\1", shown))
    shown = re.sub(r"(www)\.", r"\1\\.", shown, flags=re.IGNORECASE)
    return Escaped(CALL.sub(r"\1&#8203;", shown))


def code(text: str, limit: int = 80) -> Escaped:
    """A name as code: a plain span where that can hold it, else escaped within `<code>`.

    A table splits its cells before it looks for spans, so a bar may not stand in one.
    """
    shown = clean(text, limit)
    if shown and not set(shown) & set("|<>&`"):
        return Escaped(f"`{shown}`")
    return Escaped(f"<code>{prose(shown, limit)}</code>")
