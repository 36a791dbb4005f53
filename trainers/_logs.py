"""What the readers of frameworks' logs have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Logged = Iterable[tuple[int, Mapping[str, float]]]
"""(step, what was logged then under TRL's names)."""


def with_margin(values: Mapping[str, float]) -> dict[str, float]:
    """What was logged, with how far the chosen answers' rewards are from the rejected ones'."""
    both = values.keys() >= {"rewards/chosen", "rewards/rejected"}
    margin = values["rewards/chosen"] - values["rewards/rejected"] if both else 0.0
    return {**values, **({"rewards/margins": margin} if both else {})}


def lines(path: Path) -> Iterator[str]:
    """The lines of a log; a bar that was drawn over itself is as many lines."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline=None) as file:
            yield from file
    except FileNotFoundError:
        return
