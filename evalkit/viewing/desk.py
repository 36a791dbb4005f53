"""What a viewer is asked, answered from the store: lists of samples, and one of them whole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.rows import Items, item_bytes
from evalkit.errors import StoreError
from evalkit.evidence.plain import summary, whole
from evalkit.evidence.sheets import aligned
from evalkit.evidence.stored import StoredEvidence
from evalkit.evidence.transcripts import Archive, transcripts
from evalkit.evidence.values import Compared
from evalkit.storage.answer import Answer, answer_of
from evalkit.storage.store import AnswerKey, Cell
from evalkit.storage.tables import ANSWER_COLUMNS, read_table
from evalkit.verdict import Report
from evalkit.viewing.columns import Columns
from evalkit.viewing.pairs import Pair
from evalkit.viewing.searching import matching

PAGE = 100
"""Samples of a list that are sent at once."""

LONGEST = 200_000
"""Characters of one text; the middle of a longer one is left out."""

PAIRS = 4
FEW = 12
"""Checkpoints up to which any two of them can be held against each other."""


class Desk:
    """A report's comparisons, and every sample of them."""

    def __init__(self, root: Path, report: Report) -> None:
        self.report = report
        self.evidence = StoredEvidence(root, report)
        self.pairs = _compared(report)
        self._columns = Columns()
        self._pair = lru_cache(PAIRS)(self._read_pair)
        self._places = lru_cache(16)(_places)

    def data(self) -> dict[str, Any]:
        """What the page is given: which comparisons there are."""
        cells = {
            Compared(candidate.name, candidate.against, cell.task): cell
            for candidate in self.report.candidates
            for cell in candidate.cells
        }
        pairs = []
        for of in self.pairs:
            pair = {"candidate": of.candidate, "against": of.against, "task": of.task}
            if cell := cells.get(of):
                pair |= {"verdict": cell.verdict}
            pairs.append(pair)
        return {"served": True, "pairs": pairs, "flips": [], "texts": []}

    def facets(self, pair: int) -> dict[str, Any]:
        """By what a comparison's samples can be told apart, and how many there are."""
        found = self._pair(pair)
        return {
            "counts": found.counted(),
            "outcomes": found.ended(),
            "slices": [[name, *moved] for name, moved in found.moved().items()],
        }

    def samples(
        self, pair: int, *, within: str, how: str, direction: str, words: str, start: int
    ) -> dict[str, Any]:
        """So many samples of those that match, from one on, and how many match."""
        found = self._pair(pair)
        keep = found.chosen(within, how, direction)
        if words:
            keep &= self._holding(found, words)
        order = found.order[keep[found.order]]
        rows = found.flips(order[start : start + PAGE].tolist())
        told = [{**summary(flip), "pair": pair, "at": flip.item.hex()} for flip in rows]
        return {"total": len(order), "rows": told}

    def sample(self, pair: int, item: bytes) -> dict[str, Any]:
        """One sample with all that was asked and answered; StoreError where it is not there."""
        found = self._pair(pair)
        index = np.flatnonzero(found.after.items == np.frombuffer(item, "S16")[0])
        if not len(index):
            raise StoreError("no such sample in this comparison")
        flips = found.flips([int(index[0])])
        archives = [
            {sheet.checkpoint: _Reading(sheet.cell, self) for sheet in side.sheets}
            for side in (found.before, found.after)
        ]
        told = transcripts(flips, archives[0], archives[1])
        if not told:
            raise StoreError("its answers are not in the results: the cell was moved or cut down")
        return {**whole(told[0], LONGEST), "pair": pair}

    def _read_pair(self, pair: int) -> Pair:
        of = self.pairs[pair]
        sides = (self.evidence.side(name, of.task) for name in (of.against, of.candidate))
        return Pair(*aligned(*sides))

    def _holding(self, found: Pair, words: str) -> NDArray[np.bool_]:
        """(n,) whose question, answers, id or grade hold the words."""
        keep = np.zeros(len(found.change), dtype=np.bool_)
        for side, columns in ((found.before, ("text",)), (found.after, ("text", "question"))):
            for number, sheet in enumerate(side.sheets):
                graded = np.zeros(sheet.table.num_rows, dtype=np.bool_)
                for name in ("id", "answer", "target"):
                    graded |= matching(sheet.table.column(name).combine_chunks(), words)
                mine = side.rows[:, side.sheet_of == number]
                keep |= (graded[mine] & (mine >= 0)).any(axis=1)
                keep |= np.isin(side.items, self._answered(sheet.cell, columns, words))
        return keep

    def _answered(self, cell: Cell, columns: Sequence[str], words: str) -> Items:
        """The items of a cell of which one of these columns holds the words."""
        path = cell.answers_path
        if not path.exists():
            return np.empty(0, "S16")
        items, _ = self._places(path)
        held = np.zeros(len(items), dtype=np.bool_)
        for name in columns:
            start = 0
            for batch in self._columns.batches(path, name):
                held[start : start + len(batch)] |= matching(batch, words)
                start += len(batch)
        return items[held]

    def answer(self, cell: Cell, key: AnswerKey) -> Answer | None:
        """One stored answer, read column by column."""
        path, (item, epoch) = cell.answers_path, key
        items, epochs = self._places(path)
        rows = np.flatnonzero((items == np.frombuffer(item, "S16")[0]) & (epochs == epoch))
        if not len(rows):
            return None
        return answer_of(self._columns.row(path, int(rows[0]), [*ANSWER_COLUMNS]))


class _Reading(Archive):
    """A cell's answers, of which only the rows asked for are held."""

    def __init__(self, cell: Cell, desk: Desk) -> None:
        super().__init__(cell)
        self._desk = desk

    def sealed(self, keys: set[AnswerKey]) -> dict[AnswerKey, Answer]:
        return {key: found for key in keys if (found := self._desk.answer(self.cell, key))}


def _compared(report: Report) -> list[Compared]:
    """The report's comparisons, then of a few checkpoints every other two."""
    cells = {(s.checkpoint, s.task): bool(s.cells) for s in report.scores}
    found = [
        Compared(candidate.name, candidate.against, cell.task)
        for candidate in sorted(report.candidates, key=lambda c: c.against != report.baseline)
        for cell in candidate.cells
    ]
    names = list(dict.fromkeys(score.checkpoint for score in report.scores))
    tasks = list(dict.fromkeys(score.task for score in report.scores))
    if len(names) <= FEW:
        found += [
            Compared(names[later], names[earlier], task)
            for later in range(len(names))
            for earlier in range(later)
            for task in tasks
        ]
    there = (
        of
        for of in found
        if cells.get((of.candidate, of.task)) and cells.get((of.against, of.task))
    )
    return list(dict.fromkeys(there))


def _places(path: Path) -> tuple[Items, NDArray[np.int32]]:
    """(rows,) the items and the epochs of a file of answers."""
    table = read_table(path, ["item", "epoch"])
    epochs = np.array(table.column("epoch").to_pylist(), np.int32)
    return item_bytes(table), epochs
