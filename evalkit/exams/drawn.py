"""A task's questions by identity: in memory where they are few, drawn again where they are many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.identity import identity
from evalkit.identity.identity import ITEM_BYTES
from evalkit.storage.keys import sort
from evalkit.types import Sample, Task

HELD = 50_000
"""So many questions of a task stay in memory; of more only their identities do, 16 bytes each."""

RECORD = np.dtype([("item", f"S{ITEM_BYTES}"), ("target", f"S{identity.DIGEST_BYTES}")])

Ids = NDArray[np.bytes_]
Question = tuple[bytes, Sample]


@dataclass(frozen=True, slots=True)
class Drawn:
    """The identities of a task's questions in order, and what their targets hash to."""

    ids: Ids
    data_digest: str
    held: dict[bytes, Sample] | None  # the questions, in the same order; None: too many


def draw(task: Task, again: Callable[[], Iterable[Sample]]) -> Drawn:
    """Reads every question; raises DataError when two are the same, or there are none."""
    packed = bytearray()  # of each question its identity, and what its target hashes to
    held: dict[bytes, Sample] = {}
    for count, (item, sample) in enumerate(identified(task, again())):
        if count < HELD:
            held[item] = sample
        elif count == HELD:
            held.clear()  # too many, and the room is wanted
        packed += item + identity.digest(sample.target)
    if not packed:
        raise DataError(f"{task.name}: its data hold no questions; check `data:`")
    sort(packed, RECORD.itemsize)
    ordered = np.frombuffer(packed, RECORD)["item"].copy()
    _check_distinct(task, ordered, again)
    return Drawn(
        ordered,
        identity.data_digest(packed),
        {item: held[item] for item in map(whole, ordered)} if held else None,
    )


def identified(task: Task, samples: Iterable[Sample]) -> Iterator[Question]:
    """Every question with its identity."""
    return ((identity.item(task, sample), sample) for sample in samples)


def whole(item: bytes) -> bytes:
    """An identity out of an array, which takes its last zeros off."""
    return bytes(item).ljust(ITEM_BYTES, b"\0")


def _check_distinct(task: Task, ordered: Ids, again: Callable[[], Iterable[Sample]]) -> None:
    same = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(same):
        return
    double = whole(same[0])
    named = next(sample.id for item, sample in identified(task, again()) if item == double)
    raise DataError(
        f"{task.name}: the question {named!r} is there twice: "
        "remove one of the rows, or give them ids of their own"
    )
