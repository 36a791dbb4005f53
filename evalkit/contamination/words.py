"""A text as tokens: words, and characters of scripts that put no spaces between words.

Case, spacing, punctuation and the form of characters (NFKC) make no difference.
"""

from __future__ import annotations

import re
import unicodedata

UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3040-\u30ff\u31f0-\u31ff"  # Hiragana, Katakana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
TOKEN = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
ASCII = {
    code: chr(code).lower() if chr(code).isalnum() or code == 95 else " " for code in range(128)
}


def words(text: str) -> list[str]:
    """The tokens of a text, in order."""
    if text.isascii():
        return text.translate(ASCII).split()
    return TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def plain(text: str) -> str:
    """The text without differences of case, spacing and the form of characters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())
