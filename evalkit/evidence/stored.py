"""Evidence read from the results folder that a report was made from, as far as it is asked for.

A report says in which cells its samples lie (`scores[].cells`), relative to the results folder.
Nothing outside that folder is read, whatever a report says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from evalkit.errors import StoreError
from evalkit.evidence.damage import readable
from evalkit.evidence.flips import flips_between
from evalkit.evidence.sheets import Side, read_sheet
from evalkit.evidence.transcripts import Archive, transcripts
from evalkit.evidence.values import MOST, Compared, Effort, Flip, Flips, Transcript
from evalkit.storage.store import Cell, safe
from evalkit.verdict import Report

SHEETS, ARCHIVES = 12, 3
"""Cells whose grades, and whose answers, are kept in memory: the next comparison needs them."""


class StoredEvidence:
    """The samples of a report in its results folder."""

    def __init__(self, root: Path, report: Report) -> None:
        self.root = root
        self._folders = {(s.checkpoint, s.task): s.cells for s in report.scores}
        self._sheet = lru_cache(SHEETS)(read_sheet)
        self._archive = lru_cache(ARCHIVES)(Archive)

    def flips(self, of: Compared, most: int = MOST) -> Flips:
        """The items that changed sides, and at most so many of them in full."""
        try:
            with readable(f"{of.candidate} against {of.against} in {of.task}"):
                before, after = self.side(of.against, of.task), self.side(of.candidate, of.task)
                return flips_between(before, after, most)
        except StoreError as error:
            return Flips(reason=str(error))

    def transcripts(self, of: Compared, flips: Sequence[Flip]) -> list[Transcript]:
        """The transcripts of some of its flips, without those that cannot be had."""
        with suppress(StoreError), readable(f"{of.candidate} in {of.task}"):
            before = self._archives(of.against, of.task)
            return transcripts(flips, before, self._archives(of.candidate, of.task))
        return []

    def effort(self, checkpoint: str, task: str) -> Effort | None:
        """What a checkpoint's answers in a task took; None where that is not known."""
        with suppress(StoreError), readable(f"{checkpoint} in {task}"):
            metas = [cell.meta() for cell in self.cells(checkpoint, task).values()]
            return _sum([_effort(meta) for meta in metas if meta.get("totals")])
        return None

    def side(self, checkpoint: str, task: str) -> Side:
        """A checkpoint's grades in a task; raises StoreError where they cannot be read."""
        return Side.of(
            [
                self._sheet(cell, _preset(task, cell), name)
                for name, cell in self.cells(checkpoint, task).items()
            ]
        )

    def _archives(self, checkpoint: str, task: str) -> dict[str, Archive]:
        return {name: self._archive(cell) for name, cell in self.cells(checkpoint, task).items()}

    def cells(self, checkpoint: str, task: str) -> dict[str, Cell]:
        """The cells of a checkpoint's samples by its name, or by the names of its seeds.

        Raises StoreError where the report names none, or one that is not in the results folder.
        """
        folders = self._folders.get((checkpoint, task), [])
        if not folders:
            raise StoreError(f"the report names no samples of {checkpoint} in {task}")
        found = [self._cell(folder) for folder in folders]
        if len(found) == 1:
            return {checkpoint: found[0]}
        return {str(cell.meta()["checkpoint"]["name"]): cell for cell in found}

    def _cell(self, folder: str) -> Cell:
        parts = folder.split("/")
        if len(parts) != 2 or any(safe(part) != part for part in parts):
            raise StoreError(f"{folder!r} is no cell of a results folder: the report is damaged")
        path = self.root.joinpath(*parts)
        if not (path / "cell.json").exists():
            raise StoreError(f"its samples are not in {self.root}: no {folder} there")
        return Cell(path)


def _preset(task: str, cell: Cell) -> str:
    """The preset of a task as it is called in reports: `task@preset`."""
    preset = task.removeprefix(str(cell.meta().get("task", ""))).removeprefix("@")
    if preset and safe(preset) != preset:
        raise StoreError(f"{task!r} has no preset that a file could be named after")
    return preset


def _effort(meta: Mapping[str, dict[str, float]]) -> Effort:
    totals, pace = meta["totals"], meta.get("pace") or {}
    return Effort(
        int(totals["answers"]),
        int(totals["prompt_tokens"]),
        int(totals["completion_tokens"]),
        float(pace["seconds"]) if pace else None,
        int(pace.get("answers", 0)),
    )


def _sum(efforts: Sequence[Effort]) -> Effort | None:
    if not efforts:
        return None
    seconds = [each.seconds for each in efforts if each.seconds is not None]
    return Effort(
        sum(each.answers for each in efforts),
        sum(each.prompt_tokens for each in efforts),
        sum(each.completion_tokens for each in efforts),
        sum(seconds) if seconds else None,
        sum(each.timed for each in efforts),
    )
