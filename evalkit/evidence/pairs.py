"""Two cells of one task side by side: one sample of both, or those that tell most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from evalkit.errors import StoreError
from evalkit.evidence.flips import chosen, flip_at
from evalkit.evidence.sheets import Side, aligned, read_sheet
from evalkit.evidence.transcripts import Archive, transcripts
from evalkit.evidence.values import Flip, Transcript
from evalkit.storage.store import Cell

SHORTEST = 4
"""Hex digits by which an item may be called."""


@dataclass(frozen=True, slots=True)
class Sat:
    """A task sat by a checkpoint, as somebody called it."""

    task: str  # with its preset, if any
    checkpoint: str
    cell: Cell
    preset: str = ""


class Pair:
    """The items that two cells have in common."""

    def __init__(self, before: Sat, after: Sat) -> None:
        alike = before.checkpoint == after.checkpoint  # two cells of it: their folders differ
        self._cells = {
            sat.cell.path.name if alike else sat.checkpoint: sat for sat in (before, after)
        }
        if len(self._cells) < 2:
            raise StoreError(f"{after.cell.path} against itself: give another cell")
        self.before, self.after = aligned(
            *(
                Side.of([read_sheet(sat.cell, sat.preset, name)])
                for name, sat in self._cells.items()
            )
        )
        if not len(self.before.items):
            raise StoreError(
                f"{after.cell.path} and {before.cell.path} have no sample in common: "
                "give one task's cells"
            )
        self._change = self.after.means - self.before.means

    def sample(self, wanted: str) -> Flip:
        """The item of that id, or whose identity begins so; raises StoreError where none does."""
        ids = [self.after.text("id", index, 0) or "" for index in range(len(self.after.items))]
        found = [index for index, each in enumerate(ids) if each == wanted]
        found = found or self._begun(wanted)
        if not found:
            like = next(iter(get_close_matches(wanted, ids, n=1) or sorted(ids)), "")
            raise StoreError(f"no sample {wanted!r} in both cells; an id there is {like!r}")
        return flip_at(self.before, self.after, self._change, found[0])

    def _begun(self, wanted: str) -> list[int]:
        if len(wanted) < SHORTEST:
            return []
        items = (self.after.item(index).hex() for index in range(len(self.after.items)))
        found = [index for index, item in enumerate(items) if item.startswith(wanted.lower())]
        if len(found) > 1:
            raise StoreError(f"{len(found)} items begin with {wanted!r}: give more of it")
        return found

    def telling(self, lost: int, gained: int) -> list[Flip]:
        """So many of the lost and of the gained items, those that tell most."""
        fell, rose = np.flatnonzero(self._change < 0), np.flatnonzero(self._change > 0)
        indices = [
            *chosen(self.before, self.after, self._change, fell, lost),
            *chosen(self.before, self.after, self._change, rose, gained),
        ]
        return [flip_at(self.before, self.after, self._change, index) for index in indices]

    def transcripts(self, flips: Sequence[Flip]) -> list[Transcript]:
        """What was asked and answered; raises StoreError where an answer is not there."""
        archives = {name: Archive(sat.cell) for name, sat in self._cells.items()}
        found = transcripts(flips, archives, archives)
        if len(found) < len(flips):
            missing = {flip.id for flip in flips} - {each.flip.id for each in found}
            raise StoreError(f"not answered by both: {', '.join(sorted(missing))}")
        return found
