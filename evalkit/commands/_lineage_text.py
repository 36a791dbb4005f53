"""What checkpoints came of, as a person reads it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from evalkit.training.lineage import Known, facts

DIGITS = 12  # of a hash: enough to tell two apart
WIDEST = 60
LAST = 253e9  # seconds since 1970: the calendar's end


def history(line: Sequence[Known]) -> str:
    """A checkpoint and what it came of, the nearest first."""
    root = line[-1].parent
    end = [f"{root}\n  not trained here"] if root else []
    return "\n\n".join([*("\n".join(_one(known)) for known in line), *end])


def _one(known: Known) -> Iterator[str]:
    yield known.name
    told = facts(known)
    for name, value in {"folder": str(known.folder), **told, "made": _when(known)}.items():
        if value:
            yield f"  {name:<18}{_shown(value)}"


def _when(known: Known) -> str:
    made, size = _number(known.entry.get("time")), _number(known.entry.get("bytes"))
    when = f"{datetime.fromtimestamp(made, UTC):%Y-%m-%d %H:%M} UTC" if 0 < made < LAST else ""
    return ", ".join(filter(None, (when, f"{size / 1e6:,.1f} MB" if size else "")))


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and 0 < value < math.inf else 0


def _shown(value: str) -> str:
    """A value with its hashes cut short."""
    words = [w[:DIGITS] if len(w) == 64 and w.isalnum() else w for w in value.split(" ")]
    return " ".join(words)


def table(first: Known, second: Known, differing: dict[str, tuple[str, str]]) -> str:
    """What differs between two checkpoints, one thing a row."""
    one, two = (known.name for known in (first, second))
    if one == two:
        one, two = (known.folder.name for known in (first, second))
    if not differing:
        return f"{one} and {two} differ in nothing that a manifest tells"
    rows = [("", one, two)]
    rows += [(name, _cell(a), _cell(b)) for name, (a, b) in differing.items()]
    widths = [max(len(row[at]) for row in rows) for at in range(2)]
    head = f"What differs between {one} and {two}, besides the score:"
    body = [
        f"  {a.ljust(widths[0])}  {b.ljust(widths[1])}  {c}".rstrip() for a, b, c in rows
    ]  # fmt: skip
    return "\n".join([head, *body])


def _cell(value: str) -> str:
    shown = _shown(value) or "-"
    return shown if len(shown) <= WIDEST else f"{shown[: WIDEST - 1]}…"
