"""A grade as a line of a cell's journal, and whether it is still that of the answer that stands."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from evalkit.grading.grade import MISSING, UNGRADED, Grade, plain_json
from evalkit.storage.answer import Answer
from evalkit.storage.standing import Row, key, place_of
from evalkit.storage.tables import SCORE_COLUMNS
from evalkit.types import Sample, Score

T = TypeVar("T", Row, Answer)


class Seek(Generic[T]):
    """Rows or answers in the order of keys, looked up by keys that come in that order too."""

    def __init__(self, ordered: Iterator[T]) -> None:
        self._ordered: Iterator[T] = ordered
        self._next: T | None = next(ordered, None)

    def of(self, wanted: bytes) -> T | None:
        """What is under the key; None where nothing is."""
        while self._next is not None and _key_of(self._next) < wanted:
            self._next = next(self._ordered, None)
        found = self._next
        return found if found is not None and _key_of(found) == wanted else None


def _key_of(found: Row | Answer) -> bytes:
    if isinstance(found, Answer):
        return key(found.item, found.epoch)
    return place_of(found)


def checked(row: Mapping[str, Any]) -> None:
    """Raises KeyError on a line that is no grade."""
    for name in ("scorer", "request", *SCORE_COLUMNS):
        _ = row[name]


def gives_way(known: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Of two grades of one sample the later one stands."""
    return False


def holds(row: Mapping[str, Any], answer: Row | None) -> bool:
    """Whether a grade is of the answer that stands, and one that stands itself."""
    if row["outcome"].startswith(UNGRADED):
        return False
    failed = answer is None or bool(answer["error"])
    request = answer["request"].hex() if answer else ""
    return bool(row["request"] == request and failed == (row["outcome"] == MISSING))


def line(item: bytes, sample: Sample, epoch: int, grade: Grade) -> Row:
    """A grade as a line of the journal, but for what it is the grade of."""
    score, outcome = grade
    target = sample.target if isinstance(sample.target, str) else plain_json(sample.target)
    return {
        "item": item.hex(),
        "id": sample.id,
        "epoch": epoch,
        "value": None if score is None else score.value,
        "answer": score.answer if score else None,
        "target": target,
        "outcome": outcome,
        "stratum": sample.stratum,
        "cluster": sample.cluster,
        "details": plain_json(dict(score.details)) if score and score.details else "",
    }


def score_of(row: Mapping[str, Any]) -> Score | None:
    """The score of a line; None where the sample is missing, and nothing is noted of it."""
    if row["value"] is None and not row["details"]:
        return None
    details = json.loads(row["details"]) if row["details"] else {}
    value = math.nan if row["value"] is None else row["value"]
    return Score(value, row["answer"], details)
