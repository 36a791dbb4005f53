"""The results folder: one folder per cell, complete in itself.

    <results>/<task>/<checkpoint>-<key8>/
        cell.json        what was asked of what, in words; counts
        answers.jsonl    the journal while asking
        turns.jsonl      turns while asking, where a sample asks more than once
        judgments.jsonl  what judges said, kept for good
        answers.parquet  every answer, once asked
        scores.parquet   every grade; scores-<preset>.parquet under another scorer
        scores.jsonl     grades as they come; of a costly scorer kept for good

A folder can be copied, synced or unpacked from an archive and still be read.  Files are written
beside and renamed, so that a reader never sees half of one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import StoreError
from evalkit.storage import journal
from evalkit.storage.answer import Answer, answer_of, columns, line, outlives, row_of
from evalkit.storage.files import write_beside
from evalkit.storage.lock import hold
from evalkit.storage.records import Records
from evalkit.storage.standing import answered, lines, place_of, standing
from evalkit.storage.tables import ANSWER_COLUMNS, write_table

__all__ = ["Answer", "Cell", "Store", "line", "safe"]

SCHEMA = 1
JUDGMENTS = "judgments.jsonl"
UNSAFE = re.compile(r"[^A-Za-z0-9._+@=-]+")

AnswerKey = tuple[bytes, int]
"""Item and epoch."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One task sat by one checkpoint: a folder."""

    path: Path

    @property
    def answers_path(self) -> Path:
        """The sealed answers."""
        return self.path / "answers.parquet"

    @property
    def journal_path(self) -> Path:
        """The answers of a run that is under way, or was killed."""
        return self.path / "answers.jsonl"

    @property
    def turns_path(self) -> Path:
        """The turns of samples that ask more than once, until the answers are sealed."""
        return self.path / "turns.jsonl"

    def scores_path(self, preset: str = "") -> Path:
        """The grades given by a task's scorer, or by a preset's."""
        return self.path / (f"scores-{preset}.parquet" if preset else "scores.parquet")

    def grades_path(self, preset: str = "") -> Path:
        """The grades that have been given so far, one a line."""
        return self.scores_path(preset).with_suffix(".jsonl")

    def meta(self) -> dict[str, Any]:
        """What `cell.json` says; empty where there is none yet."""
        path = self.path / "cell.json"
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}: give another --results") from None
        except ValueError:
            raise StoreError(
                f"{path}: not JSON; remove the file and run again: the answers beside it are kept"
            ) from None
        if not isinstance(found, dict):
            raise StoreError(f"{path}: not a cell's; remove the file and run again")
        if found.get("schema") != SCHEMA:
            raise StoreError(
                f"{path}: written by another version of evalkit (schema {found.get('schema')}, "
                f"this one reads {SCHEMA}): use another --results folder, nothing was touched"
            )
        return dict(found)

    def write_meta(self, **changes: Any) -> None:
        """Puts values into `cell.json`, keeping the others."""
        meta = {"schema": SCHEMA, **self.meta(), **changes}
        text = json.dumps(journal.repaired(meta), indent=1, sort_keys=True, ensure_ascii=False)
        write_beside(self.path / "cell.json", (text + "\n").encode())

    def rows(self, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """The answers there are, sealed or still in the journal, as rows in the order of keys.

        Of sealed ones only some `columns` may be read.  A batch is in memory at a time.
        """
        found = lines(self.journal_path, answer_of)
        return map(row_of, standing(self.answers_path, found, outlives, columns))

    def each(self) -> Iterator[Answer]:
        """The answers there are, sealed or still in the journal, in the order of keys."""
        return map(answer_of, self.rows())

    def answers(self) -> dict[AnswerKey, Answer]:
        """Every answer there is, sealed or still in the journal, in memory."""
        return {(row.item, row.epoch): row for row in self.each()}

    def known(self) -> Records:
        """What is answered: keys, each followed by the request's identity."""
        rows = self.rows(["item", "epoch", "request", "error"])
        return answered((place_of(row), row["request"]) for row in rows if not row["error"])

    def seal(self) -> None:
        """Moves the journal into `answers.parquet`; nothing to do without a journal."""
        if not self.journal_path.exists():
            return
        failed = 0

        def ordered() -> Iterator[dict[str, Any]]:
            nonlocal failed
            for row in self.rows():
                failed += bool(row["error"])
                yield row

        write_table(self.answers_path, ordered(), ANSWER_COLUMNS)
        self.journal_path.unlink()
        if not failed:
            self.turns_path.unlink(missing_ok=True)

    def keep(self, answers: Iterable[Answer]) -> None:
        """Puts answers that came from elsewhere in the place of those there are."""
        ordered = sorted(map(columns, answers), key=lambda row: (row["item"], row["epoch"]))
        write_table(self.answers_path, ordered, ANSWER_COLUMNS)

    def lock(self) -> AbstractContextManager[None]:
        """Keeps other writers out for as long as the context lasts."""
        return hold(self.path / "lock")


@dataclass(frozen=True, slots=True)
class Store:
    """A results folder."""

    root: Path

    def cell(self, task: str, checkpoint: str, key: str) -> Cell:
        """The cell of that key, whatever name its checkpoint went by when it was written."""
        folder = self.root / safe(task)
        for path in sorted(folder.glob(f"*-{key}")):
            return Cell(path)
        return Cell(folder / f"{safe(checkpoint)}-{key}")

    def cells(self) -> list[Cell]:
        """Every cell of the folder."""
        return [Cell(path.parent) for path in sorted(self.root.glob("*/*/cell.json"), key=str)]


def safe(name: str) -> str:
    """The name as a folder can be called."""
    return UNSAFE.sub("_", name).strip(".") or "_"
