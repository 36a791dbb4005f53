"""What was asked and answered, and what a judge said of it, read for a few samples of a cell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from evalkit.comparison.rows import item_bytes
from evalkit.evidence.values import Answered, Flip, Graded, Transcript
from evalkit.storage import journal
from evalkit.storage.answer import Answer, answer_of
from evalkit.storage.store import JUDGMENTS, AnswerKey, Cell
from evalkit.storage.tables import read_table

if TYPE_CHECKING:
    import pyarrow as pa


class Archive:
    """A cell's answers and judgments, each file read once, when something of it is asked for."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self._table: pa.Table | None = None
        self._judgments: dict[str, str] | None = None

    @property
    def table(self) -> pa.Table:
        """Every sealed answer; raises StoreError where they cannot be read."""
        if self._table is None:
            self._table = read_table(self.cell.answers_path)
        return self._table

    def answers(self, wanted: Iterable[AnswerKey]) -> dict[AnswerKey, Answer]:
        """Those of the answers that are there; raises StoreError where they cannot be read."""
        keys = set(wanted)
        if self.cell.journal_path.exists():  # it is being asked
            found = self.cell.answers()
            return {key: found[key] for key in keys & found.keys()}
        if not keys or not self.cell.answers_path.exists():
            return {}
        return self.sealed(keys)

    def sealed(self, keys: set[AnswerKey]) -> dict[AnswerKey, Answer]:
        """Those of the sealed answers."""
        items = np.frombuffer(b"".join(sorted({item for item, _ in keys})), "S16")
        rows = np.flatnonzero(np.isin(item_bytes(self.table), items)).tolist()
        read = (answer_of(self.table.slice(row, 1).to_pylist()[0]) for row in rows)
        return {key: answer for answer in read if (key := (answer.item, answer.epoch)) in keys}

    def said(self, graded: Graded) -> tuple[str, ...]:
        """The judge's words on a sample in both orders; none where it was not judged."""
        with suppress(ValueError, TypeError, KeyError):
            keys = json.loads(graded.details)["judgments"]
            if self._judgments is None:
                rows = journal.read(self.cell.path / JUDGMENTS)
                self._judgments = {row["key"]: row["text"] for row in rows}
            return tuple(str(self._judgments[key]) for key in keys)
        return ()


def transcripts(
    flips: Sequence[Flip], before: Mapping[str, Archive], after: Mapping[str, Archive]
) -> list[Transcript]:
    """The flips in full, of each side's archives by checkpoint; without those not answered."""
    old = _answered([(flip.item, flip.before) for flip in flips], before)
    new = _answered([(flip.item, flip.after) for flip in flips], after)
    return [
        Transcript(flip, first[0].question or second[0].question, first[1], second[1])
        for flip, first, second in zip(flips, old, new, strict=True)
        if first and second
    ]


def _answered(
    samples: Sequence[tuple[bytes, Graded]], archives: Mapping[str, Archive]
) -> list[tuple[Answer, Answered] | None]:
    wanted: dict[str, list[AnswerKey]] = {}
    for item, graded in samples:
        wanted.setdefault(graded.checkpoint, []).append((item, graded.epoch))
    found = {name: archives[name].answers(keys) for name, keys in wanted.items()}
    return [
        (answer, Answered(answer.response, archives[graded.checkpoint].said(graded)))
        if (answer := found[graded.checkpoint].get((item, graded.epoch)))
        else None
        for item, graded in samples
    ]
