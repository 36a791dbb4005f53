"""What a log of another harness says of one task."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.errors import DataError
from evalkit.types import Response

UNKNOWN_END = "unknown"
"""The finish reason where the log does not say why an answer ended."""


class Unfit(DataError):
    """One task cannot be taken over; the others can."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for; "" and None leave it to the log."""

    name: str = ""  # of the checkpoint
    metric: str = ""
    bounds: tuple[float, float] | None = None
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One graded answer of a log."""

    content: bytes  # hash of what the log says of the question
    id: str
    epoch: int
    value: float  # NaN: missing
    question: str
    target: str
    answer: str | None
    request: bytes
    response: Response
    stratum: str = ""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A score whose samples nobody has."""

    score: float
    stderr: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Metric:
    """What was measured: its name, its scale, and which end of it is the good one."""

    name: str
    bounds: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """The checkpoint as the log names it, and how it was addressed."""

    name: str
    identity: str = ""
    format: str = ""
    system_prompt: str = ""
    chat_template: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """One task sat by one checkpoint, as a log has it: rows, or only their aggregate."""

    source: str
    format: str
    task: str
    domain: str
    asked: Asked
    metric: Metric
    exam: Mapping[str, Any]  # what must be equal for two such cells to be comparable
    environment: Mapping[str, str] = field(default_factory=dict)
    dataset: Mapping[str, str] = field(default_factory=dict)  # on the hub: id, config, revision
    rows: Sequence[Row] = ()
    aggregate: Aggregate | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A task of a log that could not be taken over, and why."""

    source: str
    task: str
    reason: str


def mean(rows: Iterable[Row]) -> float:
    """Mean over items of the mean over their answers, of the rows that have a number."""
    by_item: dict[tuple[bytes, str], list[float]] = defaultdict(list)
    for row in rows:
        if math.isfinite(row.value):
            by_item[row.content, row.id].append(row.value)
    means = [sum(values) / len(values) for values in by_item.values()]
    return sum(means) / len(means) if means else math.nan
