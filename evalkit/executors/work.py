"""One checkpoint and all that it is asked, as plain values that another process can read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit import plugins
from evalkit.asking.checkpoint import incomplete
from evalkit.configuration.sections import TaskSection
from evalkit.errors import StoreError
from evalkit.exams.exam import Exam, sit
from evalkit.matrix import Row
from evalkit.seat import Seat
from evalkit.storage.store import Cell
from evalkit.types import Checkpoint, Retrieval


@dataclass(frozen=True)
class Work:
    """A checkpoint with all its seats."""

    row: Row
    seats: tuple[Seat, ...]

    @property
    def done(self) -> bool:
        """Whether nothing is to be asked."""
        return not incomplete(self.seats)


def works(rows: Sequence[Row], seats: Sequence[Seat]) -> list[Work]:
    """The work of each checkpoint; of two that share a cell, the first asks it."""
    taken: dict[Path, Row] = {}
    for seat in seats:
        taken.setdefault(seat.cell.path, seat.row)
    return [
        Work(row, tuple(s for s in seats if s.row is row and taken[s.cell.path] is row))
        for row in rows
    ]


def written(work: Work) -> bytes:
    """The work as JSON."""
    seats = [
        {
            "section": seat.exam.section.model_dump(exclude_unset=True),
            "home": str(seat.exam.home),
            "task": seat.exam.label,
            "data": str(seat.exam.data) if seat.exam.data else None,
            "limit": seat.exam.limit,
            "cell": str(seat.cell.path),
            "source": seat.exam.source,
        }
        for seat in work.seats
    ]
    return json.dumps({"checkpoint": asdict(work.row.checkpoint), "seats": seats}).encode()


def read(content: bytes) -> Work:
    """The work that another process has written."""
    found = json.loads(content)
    told = found["checkpoint"]
    shown = Retrieval(**told["retrieval"]) if told["retrieval"] else None
    checkpoint = Checkpoint(**{**told, "retrieval": shown})
    row = Row(checkpoint, plugins.backend(checkpoint.backend))
    return Work(row, tuple(_seat(row, each) for each in found["seats"]))


def _seat(row: Row, told: Mapping[str, Any]) -> Seat:
    exam = _exam(told)
    if exam.source != told["source"]:
        raise StoreError(
            f"{exam.label}: its source or its data changed while the run was under way: run again"
        )
    return Seat(row, exam, Cell(Path(told["cell"])))


def _exam(told: Mapping[str, Any]) -> Exam:
    data = Path(told["data"]) if told["data"] else None
    exams = sit(TaskSection(**told["section"]), data, told["limit"], Path(told["home"]))
    return next(exam for exam in exams if exam.label == told["task"])
