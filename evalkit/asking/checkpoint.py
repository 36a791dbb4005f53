"""One checkpoint asked: which of its cells are not complete, and what is noted once they are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from evalkit.asking import engine
from evalkit.events import Notify
from evalkit.grading.cells import Grading
from evalkit.grading.grade import by_scorer
from evalkit.grading.graders import Graders
from evalkit.grading.manner import Reading
from evalkit.seat import Seat
from evalkit.storage.tables import read_rows


def incomplete(seats: Sequence[Seat]) -> list[Seat]:
    """The seats whose cells lack answers; presets that only grade otherwise share a cell."""
    missing: dict[Path, Seat] = {}
    for seat in seats:
        other = missing.get(seat.cell.path)
        if not seat.asked and (not other or other.exam.task.epochs < seat.exam.task.epochs):
            missing[seat.cell.path] = seat
    return list(missing.values())


def ask(seats: Sequence[Seat], notify: Notify, graders: Graders, beside: ExitStack) -> None:
    """Asks a checkpoint, given all its seats, whatever is missing; grades come as answers do.

    They may go on coming when all has been asked, into journals that `beside` closes.  Raises
    ModelError where the checkpoint cannot be asked.
    """
    missing = incomplete(seats)
    if not missing:
        return
    row = missing[0].row
    for seat in seats:
        seat.exam.check_prompts()
    for seat in missing:
        seat.cell.write_meta(**seat.described(), asked={}, scored={})
    sittings = [
        engine.Sitting(seat.exam, seat.cell, _gradings(seat, seats, graders, beside))
        for seat in missing
    ]
    engine.ask(row.backend, row.checkpoint, sittings, notify)
    for seat, sitting in zip(missing, sittings, strict=True):
        pace = {"answers": sitting.asked, "seconds": round(sitting.elapsed, 3)}
        kept = {"pace": pace} if sitting.asked else {}
        seat.cell.write_meta(asked=seat.asking, **counted(seat), **kept)


def _gradings(
    asked: Seat, seats: Sequence[Seat], graders: Graders, beside: ExitStack
) -> tuple[Grading, ...]:
    """Who grades a cell's answers as they come, that of the seat that is asked first."""
    sharing = [seat for seat in seats if seat.cell.path == asked.cell.path]
    found = [
        Grading(seat.exam, seat.cell, by_scorer(seat.exam.task), seat.scorer, graders)
        for seat in sorted(sharing, key=lambda seat: seat is not asked)
        if seat.exam.task.score
    ]
    for grading in found:
        beside.callback(grading.close)
    return tuple(found)


def counted(seat: Seat) -> dict[str, Any]:
    """What `cell.json` notes of the answers: their number, their tokens, and how they read."""
    due, epochs = seat.exam, seat.exam.task.epochs
    counts = dict.fromkeys(("answers", "errors", "prompt_tokens", "completion_tokens"), 0)
    reading = Reading(len(due.due))
    columns = ["item", "prompt_tokens", "completion_tokens", *Reading.columns]
    for row in read_rows(seat.cell.answers_path, columns):
        counts["answers"] += 1
        if row["error"] and row["epoch"] < epochs and row["item"] in due:
            counts["errors"] += 1
        counts["prompt_tokens"] += row["prompt_tokens"]
        counts["completion_tokens"] += row["completion_tokens"]
        reading.take(row)
    return {"totals": counts, "manner": reading.told()}
