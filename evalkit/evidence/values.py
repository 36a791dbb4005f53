"""What a renderer may show besides the report: flips, transcripts, and what a cell took.

These are plain values; `evalkit/evidence/stored.py` reads them from the results folder, and only
what is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from evalkit.types import Response

MOST = 40
"""Flips of one comparison that are chosen if nobody says how many."""


class Compared(NamedTuple):
    """One cell of a report: a candidate against another checkpoint in one task, by names."""

    candidate: str
    against: str
    task: str


@dataclass(frozen=True, slots=True)
class Graded:
    """How one sample of one checkpoint was graded."""

    checkpoint: str
    epoch: int
    value: float  # on the task's own scale; NaN is missing
    answer: str | None  # what was read out of the response; None is unparsed
    outcome: str
    details: str  # what the scorer noted, as JSON; "" is nothing
    row: int  # where it stands in its cell's scores


@dataclass(frozen=True, slots=True)
class Flip:
    """One item on which two checkpoints score differently, by the sample that shows it best."""

    item: bytes
    id: str  # the benchmark's own
    stratum: str
    target: str
    delta: float  # candidate − against: means over the item's samples, oriented to [0, 1]
    before: Graded  # of the checkpoint compared against
    after: Graded  # of the candidate


class Moved(NamedTuple):
    """How many items of one slice changed sides."""

    items: int
    lost: int
    gained: int


@dataclass(frozen=True, slots=True)
class Flips:
    """The items of one comparison that changed sides: how many, and the most telling of them."""

    lost: int = 0
    gained: int = 0
    shown: tuple[Flip, ...] = ()  # the lost ones first
    slices: Mapping[str, Moved] = field(default_factory=dict)  # by stratum
    reason: str = ""  # why nothing can be told, in words


@dataclass(frozen=True, slots=True)
class Answered:
    """What one checkpoint answered, and what a judge said of it."""

    response: Response
    said: tuple[str, ...] = ()  # the judge's words with this answer shown first, then second


@dataclass(frozen=True, slots=True)
class Transcript:
    """A flip with what was asked and what both checkpoints answered."""

    flip: Flip
    question: str
    before: Answered
    after: Answered


@dataclass(frozen=True, slots=True)
class Effort:
    """What the answers of one cell took."""

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float | None = None  # of the last time that it was asked; None: not known
    timed: int = 0  # answers that those seconds were for


class Evidence(Protocol):
    """The samples behind a report; whatever cannot be read is told by a reason, never raised."""

    def flips(self, of: Compared, most: int = MOST) -> Flips:
        """The items that changed sides, and at most so many of them in full."""
        ...

    def transcripts(self, of: Compared, flips: Sequence[Flip]) -> list[Transcript]:
        """The transcripts of some of its flips, without those that cannot be had."""
        ...

    def effort(self, checkpoint: str, task: str) -> Effort | None:
        """What a checkpoint's answers in a task took; None where that is not known."""
        ...


class NoSamples:
    """The evidence of a report whose samples are not at hand."""

    def flips(self, of: Compared, most: int = MOST) -> Flips:
        """Nothing, and why."""
        return Flips(reason="the samples are not at hand: only the verdict was given")

    def transcripts(self, of: Compared, flips: Sequence[Flip]) -> list[Transcript]:
        """Nothing."""
        return []

    def effort(self, checkpoint: str, task: str) -> Effort | None:
        """Nothing."""
        return None


NO_SAMPLES: Evidence = NoSamples()
