"""The results folder: one folder per cell, complete in itself.

    <results>/<task>/<checkpoint>-<key8>/
        cell.json        what was asked of what, in words; counts
        answers.jsonl    the journal while asking
        turns.jsonl      turns while asking, where a sample asks more than once
        judgments.jsonl  what judges said, kept for good
        answers.parquet  every answer, once asked
        scores.parquet   every grade; scores-<preset>.parquet under another scorer

A folder can be copied, synced or unpacked from an archive and still be read.  Files are written
beside and renamed, so that a reader never sees half of one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit import journal
from evalkit.errors import StoreError
from evalkit.files import write_beside
from evalkit.lock import hold
from evalkit.tables import ANSWER_COLUMNS, read_table, write_table
from evalkit.types import Response, ToolCall

SCHEMA = 1
JUDGMENTS = "judgments.jsonl"
UNSAFE = re.compile(r"[^A-Za-z0-9._+@=-]+")

AnswerKey = tuple[bytes, int]
"""Item and epoch."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One stored answer: who was asked what, and what came back."""

    item: bytes
    id: str
    epoch: int
    request: bytes
    question: str
    response: Response


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

    def answers(self) -> dict[AnswerKey, Answer]:
        """Every answer there is, sealed or still in the journal."""
        found = {(row.item, row.epoch): row for row in self._sealed()}
        for number, line in enumerate(journal.read(self.journal_path), 1):
            try:
                row = _answer(line)
            except (KeyError, TypeError, ValueError):
                raise journal.damaged(self.journal_path, number) from None
            known = found.get((row.item, row.epoch))
            if known is None or not _outlives(known, row):
                found[row.item, row.epoch] = row
        return found

    def _sealed(self) -> Iterator[Answer]:
        if self.answers_path.exists():
            for row in read_table(self.answers_path).to_pylist():
                yield _from_columns({**EMPTY, **row})

    def seal(self) -> None:
        """Moves the journal into `answers.parquet`; nothing to do without a journal."""
        if not self.journal_path.exists():
            return
        rows = self.answers()
        ordered = [_columns(rows[key]) for key in sorted(rows)]
        write_table(self.answers_path, ordered, ANSWER_COLUMNS)
        self.journal_path.unlink()
        if not any(row.response.error for row in rows.values()):
            self.turns_path.unlink(missing_ok=True)

    def keep(self, answers: Iterable[Answer]) -> None:
        """Puts answers that came from elsewhere in the place of those there are."""
        ordered = sorted(map(_columns, answers), key=lambda row: (row["item"], row["epoch"]))
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


def line(answer: Answer) -> dict[str, Any]:
    """The answer as one journal line; fields that hold nothing are left out."""
    row = _columns(answer)
    row["item"], row["request"] = answer.item.hex(), answer.request.hex()
    return {name: value for name, value in row.items() if value not in ("", 0, [], None)}


def _outlives(known: Answer, row: Answer) -> bool:
    """Whether an answer stays: an error says nothing new, unless something else was asked."""
    failed_again = bool(row.response.error) and not known.response.error
    return failed_again and known.request == row.request


def _answer(row: Mapping[str, Any]) -> Answer:
    whole = {**EMPTY, **row}
    whole["item"], whole["request"] = bytes.fromhex(row["item"]), bytes.fromhex(row["request"])
    return _from_columns(whole)


def _columns(answer: Answer) -> dict[str, Any]:
    response = answer.response
    calls = [[call.name, call.arguments] for call in response.tool_calls]
    return {
        "item": answer.item,
        "id": answer.id,
        "epoch": answer.epoch,
        "request": answer.request,
        "question": answer.question,
        "text": response.text,
        "reasoning": response.reasoning,
        "tool_calls": json.dumps(calls) if calls else "",
        "finish_reason": response.finish_reason,
        "prompt_tokens": response.prompt_tokens,
        "completion_tokens": response.completion_tokens,
        "loglikelihoods": list(response.loglikelihoods),
        "greedy": list(response.greedy),
        "turns": list(response.turns),
        "error": response.error,
    }


def _from_columns(row: Mapping[str, Any]) -> Answer:
    calls = json.loads(row["tool_calls"]) if row["tool_calls"] else []
    response = Response(
        text=row["text"],
        reasoning=row["reasoning"],
        tool_calls=tuple(ToolCall(name, arguments) for name, arguments in calls),
        finish_reason=row["finish_reason"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        # JSON has no infinity: null is what the journal made of a likelihood of nothing
        loglikelihoods=tuple(-math.inf if v is None else v for v in row["loglikelihoods"]),
        greedy=tuple(row["greedy"]),
        turns=tuple(row["turns"]),
        error=row["error"],
    )
    return Answer(row["item"], row["id"], row["epoch"], row["request"], row["question"], response)


EMPTY: dict[str, Any] = {
    "id": "",
    "epoch": 0,
    "question": "",
    "text": "",
    "reasoning": "",
    "tool_calls": "",
    "finish_reason": "",
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "loglikelihoods": [],
    "greedy": [],
    "turns": [],
    "error": "",
}
