"""A seat: one checkpoint at one exam, and how far the cell it fills has come.

Whether a cell is complete is told from its `cell.json`, without reading a question.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalkit.exams.exam import Exam
from evalkit.grading.grade import UNGRADED
from evalkit.identity import identity
from evalkit.identity.fingerprint import parts
from evalkit.judging.hearing import UNHEARD
from evalkit.judging.panel import Panel
from evalkit.matrix import Matrix, Row
from evalkit.storage.store import Cell, Store
from evalkit.types import Checkpoint

MOST_FILES = 200  # documents that are listed one by one in a cell.json


@dataclass(frozen=True)
class Seat:
    """One checkpoint at one exam, and the cell it fills."""

    row: Row
    exam: Exam
    cell: Cell

    @property
    def asking(self) -> dict[str, Any]:
        """What `cell.json` notes once everything has been asked."""
        exam = self.exam
        part = {"only": exam.part_digest} if exam.only is not None else {}
        return {"source": exam.source, "limit": exam.limit, "epochs": exam.task.epochs, **part}

    @property
    def asked(self) -> bool:
        """Whether the cell holds every answer."""
        meta, due = self.cell.meta(), self.asking
        asked = meta.get("asked") or {}
        limit = asked.get("limit")
        return bool(
            not self.cell.journal_path.exists()
            and self.cell.answers_path.exists()
            and asked.get("source") == due["source"]
            and asked.get("epochs", 0) >= due["epochs"]
            and asked.get("only") in (None, due.get("only"))
            and (limit is None or (due["limit"] is not None and due["limit"] <= limit))
            and not meta.get("totals", {}).get("errors")
        )

    def grading(self, who: Panel | None) -> dict[str, Any]:
        """What `cell.json` notes once every answer has been graded."""
        judged = self.judged_by(who)
        own = {"scorer": self.exam.task.scorer} if self.exam.task.scorer else {}
        tries = {"retries": who.retries} if who and judged else {}
        return {**self.asking, "judge": judged, **tries, **own}

    def graded(self, who: Panel | None) -> bool:
        """Whether the cell holds every grade of its exam's preset."""
        meta, preset = self.cell.meta(), self.exam.task.preset
        due = self.grading(who)
        whole = {name: value for name, value in due.items() if name != "only"}
        outcomes = meta.get("outcomes", {}).get(preset, {})
        return bool(
            (meta.get("scored") or {}).get(preset) in (due, whole)
            and UNHEARD.isdisjoint(outcomes)
            and not any(name.startswith(UNGRADED) for name in outcomes)
            and self.cell.scores_path(preset).exists()
        )

    @property
    def scorer(self) -> str:
        """What grades here, with the data it grades by; empty for a judge, who may yet say more."""
        return "" if self.exam.task.rubric else self.exam.marking

    def judged_by(self, who: Panel | None) -> dict[str, Any] | str:
        """Who judges here and how it is asked; "" unless the task is a judged one."""
        rubric = self.exam.task.rubric
        return who.described(rubric) if who and rubric else ""

    def described(self) -> dict[str, Any]:
        """What `cell.json` says of the task, the checkpoint and the engine."""
        checkpoint, task = self.row.checkpoint, self.exam.task
        return {
            "task": task.name,
            "domain": task.domain,
            "part_of": asdict(task.part_of) if task.part_of else None,
            "bounds": list(task.bounds),
            "higher_is_better": task.higher_is_better,
            "checkpoint": {
                name: value
                for name, value in asdict(checkpoint).items()
                if name not in ("options", "model", "by_content", "stage", "step", "retrieval")
            }
            | {"quantization": checkpoint.quantization}
            | _documents(checkpoint)
            | (parts(Path(checkpoint.model)) if checkpoint.model else {}),
            "environment": dict(self.row.backend.environment(checkpoint)),
        }


def _documents(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint is shown of documents, each with its hash where they are not too many."""
    if checkpoint.retrieval is None:
        return {}
    files = checkpoint.retrieval.files
    listed = {"files": dict(files)} if len(files) <= MOST_FILES else {}
    return {"retrieval": {**identity.retrieved(checkpoint), **listed}}


def seating(matrix: Matrix, store: Store) -> list[Seat]:
    """Every checkpoint at every exam, with the cell that holds or will hold its answers."""
    cells: dict[tuple[str, str], Cell] = {}  # two names for one checkpoint share their cells

    def cell(row: Row, exam: Exam) -> Cell:
        key = identity.key(exam.task, row.checkpoint)
        found = store.cell(exam.task.name, row.checkpoint.name, key)
        return cells.setdefault((exam.task.name, key), found)

    return [Seat(row, exam, cell(row, exam)) for row in matrix.rows for exam in matrix.exams]
