"""What models may write: texts that try to run, to break out, to lie or to drown the reader."""

from __future__ import annotations

HOSTILE = {
    "script": "<script>window.hacked = 1</script>",
    "end of script": "</script><script>window.hacked = 1</script>",
    "end of style": "</style><img src=x onerror='window.hacked = 1'>",
    "comment": "<!-- <script> --!> ]]> <!--",
    "image": "<img src=x onerror=window.hacked=1>",
    "handler": '" onmouseover="window.hacked = 1" x="',
    "template": "{{ 7 * 7 }} {% raw %} ${window.hacked = 1}",
    "link": "javascript:window.hacked=1",
    "bidi": "right \u202egnirts tfel\u202c \u2066isolated\u2069 \u200fmark",
    "nuls": "nul\x00nul\x00",
    "ansi": "\x1b[2J\x1b]0;owned\x07\x9b31mred",
    "surrogates": "lone \ud83d and \udc00 and whole \U0001f600",
    "separators": "line\u2028paragraph\u2029next\x85",
    "zero width": "a\u200bb\u2060c\ufeffd",
    "long line": "x" * 1_000_000,
    "many lines": "line\n" * 50_000,
    "chinese": "答案是四十二。模型训练之后变差了吗？",
    "arabic": "الجواب هو اثنان وأربعون",
    "empty": "",
}
"""Names to texts."""
