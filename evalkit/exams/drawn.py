"""A task's questions by identity: in memory where they are few, drawn again where they are many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from evalkit.errors import DataError
from evalkit.identity import identity
from evalkit.identity.identity import ITEM_BYTES
from evalkit.storage.records import Records, sort
from evalkit.types import Sample, Task

HELD = 50_000
"""So many questions of a task stay in memory, or none."""

Question = tuple[bytes, Sample]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The identities of a task's questions in order, and what their targets hash to."""

    ids: Records
    data_digest: str
    held: dict[bytes, Sample] | None  # the questions, in the same order; None: too many


def draw(task: Task, again: Callable[[], Iterable[Sample]]) -> Drawn:
    """Reads every question; raises DataError when two are the same, or there are none."""
    held: dict[bytes, Sample] = {}

    def pairs() -> Iterator[bytes]:
        """Of each question its identity, and what its target hashes to."""
        for count, (item, sample) in enumerate(identified(task, again())):
            if count < HELD:
                held[item] = sample
            elif count == HELD:
                held.clear()  # too many, and the room is wanted
            yield item + identity.digest(sample.target)

    ordered = sort(ITEM_BYTES + identity.DIGEST_BYTES, pairs())
    if not ordered:
        raise DataError(f"{task.name}: its data hold no questions; check `data:`")
    ids = sort(ITEM_BYTES, (pair[:ITEM_BYTES] for pair in ordered))
    _check_distinct(task, ids, again)
    return Drawn(
        ids,
        identity.data_digest(ordered.pieces()),
        {item: held[item] for item in ids} if held else None,
    )


def identified(task: Task, samples: Iterable[Sample]) -> Iterator[Question]:
    """Every question with its identity."""
    return ((identity.item(task, sample), sample) for sample in samples)


def _check_distinct(task: Task, ids: Records, again: Callable[[], Iterable[Sample]]) -> None:
    double = next((one for one, other in pairwise(ids) if one == other), None)
    if double is None:
        return
    named = next(sample.id for item, sample in identified(task, again()) if item == double)
    raise DataError(
        f"{task.name}: the question {named!r} is there twice: "
        "remove one of the rows, or give them ids of their own"
    )
