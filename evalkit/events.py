"""What the core tells whoever watches: it prints nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Asked:
    """Some more answers of one cell are in."""

    checkpoint: str
    task: str
    done: int
    total: int
    errors: int
    tokens_per_second: float = 0.0  # of the checkpoint, over all its cells
    seconds_left: float | None = None  # until all cells of the checkpoint are complete
    outcomes: Mapping[str, int] = field(default_factory=dict)  # of the answers graded so far


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line: a stage begins, a cell is complete, a server slows down."""

    text: str


Event: TypeAlias = Asked | Note
Notify: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """Tells nobody."""
