"""What a reader of a run must know besides its verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.judging import trust
from evalkit.matrix import Matrix
from evalkit.run import Held
from evalkit.sandbox.about import warning
from evalkit.training.lineage import made_by
from evalkit.types import Checkpoint
from evalkit.verdict import CheckpointNote


def lineage(checkpoint: Checkpoint, matrix: Matrix) -> CheckpointNote:
    """Where a checkpoint of the matrix comes from."""
    run = matrix.runs.get(checkpoint.stage)
    return CheckpointNote(
        name=checkpoint.name,
        identity=_stated(checkpoint.identity),
        parent=checkpoint.parent,
        method=checkpoint.method,
        backend=checkpoint.backend,
        stage=checkpoint.stage,
        step=checkpoint.step,
        made=made_by(run, checkpoint.step if checkpoint.on_the_way else None) if run else None,
    )


def _stated(identity: str) -> str:
    """An identity made up because none could be told says nothing to a reader."""
    return "" if identity.startswith("unstated") else identity


def _one_for_both(held: Held) -> Iterator[str]:
    """Whose answers stand for another's: the same weights, addressed alike, run in another way."""
    first: dict[Path, Checkpoint] = {}
    told = dict[str, str]()
    for seat in held.seats:
        own = seat.row.checkpoint
        before = first.setdefault(seat.cell.path, own)
        if (own.backend, own.options) != (before.backend, before.options):
            told[own.name] = before.name
    for name, other in told.items():
        yield f"{name} is {other}, run in another way: the answers of one stand for both"


def notes(held: Held) -> list[str]:
    """What failed, what answered in a model's place, limits, weak judges and weak sandboxes."""
    said = [*held.failures, *held.matrix.notes]
    for backend in sorted({row.backend.name for row in held.matrix.rows}):
        names = [
            row.checkpoint.name
            for row in held.matrix.rows
            if row.backend.name == backend and not row.backend.reads_prompt
        ]
        if names:
            said.append(f"answered by {backend}, not by a model: {', '.join(names)}")
    said += _one_for_both(held)
    limits = {seat.exam.limit for seat in held.seats if seat.exam.limit}
    said += [f"limited to {limit} items of each task" for limit in sorted(limits)]
    said += [words for note in held.judges for words in trust.said(note)]
    reach = [seat.cell.meta().get("within_reach", ()) for seat in held.seats]
    return [*said, *sorted({warning(each) for each in reach if each})]
