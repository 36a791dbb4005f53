"""What of each exam some data have: every item that is touched, by n-grams or as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from evalkit.contamination.index import Entry, indexed
from evalkit.contamination.scan import NEVER, Seen, seen
from evalkit.errors import DataError
from evalkit.exams.exam import Exam

MOST = 0.8
"""From this share of its n-grams on, most of an item is in the data."""


@dataclass(frozen=True, slots=True)
class Touched:
    """An item that the data have something of."""

    item: bytes
    id: str
    exact: bool  # as a whole
    share: float  # of its n-grams
    place: str  # the first row that has any of it


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ItemNote(_Model):
    """An item that the data have something of."""

    id: str = Field(description="the benchmark's own")
    exact: bool = Field(description="its question or prompt is a text of the data")
    share: float = Field(description="of its 13-grams those that the data have")
    first: str = Field(description="file and row of the first of them")


class TaskNote(_Model):
    """What of a task some data have."""

    task: str
    domain: str
    items: int
    short: int = Field(description="items of fewer than 13 tokens: only found as a whole")
    exact: int = Field(description="items whose question or prompt is a text of the data")
    touched: int = Field(description="items that share a 13-gram with the data, or are exact")
    most: int = Field(description="items of whose 13-grams the data have 80 %, or exact")
    found: list[ItemNote] = Field(description="every item touched, the most first")


class Contamination(_Model):
    """What `evalkit contamination` has to say."""

    files: list[str]
    rows: int
    tasks: list[TaskNote]
    left_out: dict[str, str] = Field(description="tasks that were not looked for, and why")


def contamination(exams: Sequence[Exam], files: Sequence[Path]) -> tuple[list[TaskNote], int]:
    """What of each exam the files have, and how many rows these are; raises DataError."""
    index, entries = indexed(exams)
    found = seen(index, files)
    if not found.rows:
        raise DataError(f"{', '.join(map(str, files))}: no rows to look through: check the path")
    told = [_noted(exam, own, found) for exam, own in zip(exams, entries, strict=True)]
    return told, found.rows


def touched(entries: Iterable[Entry], found: Seen) -> list[Touched]:
    """The items that data have something of, the most first."""
    items = [each for entry in entries if (each := _touched(entry, found))]
    return sorted(items, key=lambda each: (not each.exact, -each.share, each.id))


def _touched(entry: Entry, found: Seen) -> Touched | None:
    where = found.grams[entry.grams]
    there = where != NEVER
    wholes = [found.exact[place] for place in entry.exact if place in found.exact]
    if not wholes and not there.any():
        return None
    first = min([*wholes, int(where.min(initial=NEVER))])
    share = float(np.mean(there)) if len(where) else 0.0
    return Touched(entry.item, entry.id, bool(wholes), share, found.place(first))


def _noted(exam: Exam, entries: Sequence[Entry], found: Seen) -> TaskNote:
    items = touched(entries, found)
    return TaskNote(
        task=exam.label,
        domain=exam.task.domain,
        items=len(entries),
        short=sum(not len(entry.grams) for entry in entries),
        exact=sum(each.exact for each in items),
        touched=len(items),
        most=sum(each.exact or each.share >= MOST for each in items),
        found=[
            ItemNote(id=each.id, exact=each.exact, share=each.share, first=each.place)
            for each in items
        ],
    )
