"""One task as it is sat in this run: its questions, their identities, and what they hash to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evalkit import identity, plugins
from evalkit.config import TaskSection
from evalkit.errors import DataError
from evalkit.types import Response, Rows, Sample, Task

ANY_ANSWER = Response("?", turns=("?", "?"))
OTHER = Response("!", turns=("!", "!"))
"""In the places of two answers, where only what surrounds them is wanted."""


@dataclass(frozen=True)
class Exam:
    """A task with this run's settings: preset, sampling, epochs, data and limit."""

    task: Task
    section: TaskSection
    data: Path | None = None  # the file or folder given for its rows
    limit: int | None = None
    only: frozenset[bytes] | None = None  # of these, the items to be asked; None: all

    @property
    def label(self) -> str:
        """How it is called in reports."""
        return f"{self.task.name}@{self.task.preset}" if self.task.preset else self.task.name

    @cached_property
    def source(self) -> str:
        """Hash of all that its questions and grades are made from; told without reading rows."""
        files = plugins.source_files(_module(self.task))
        whole = hashlib.sha256("\n".join(map(_content_hash, files)).encode())
        if self.task.source:
            from evalkit.data import digest

            whole.update(digest(self.task.source, self.data).encode())
        return whole.hexdigest()[:16]

    @cached_property
    def items(self) -> dict[bytes, Sample]:
        """The questions by identity, in the order of identities; the first `limit` of them.

        That order is a fixed shuffle, so a limit takes the same sample of every checkpoint, and
        raising it keeps what was asked.  Raises DataError when two questions are the same.
        """
        found = self._everything
        chosen = sorted(found)[: self.limit]
        only = self.only
        return {item: found[item] for item in chosen if only is None or item in only}

    def part(self, only: Iterable[bytes]) -> Exam:
        """The same exam cut down to some of its items; its rows are not read again."""
        small = replace(self, only=frozenset(only))
        for shared in ("source", "_everything", "data_digest", "prompts_digest"):
            vars(small)[shared] = getattr(self, shared)
        return small

    @property
    def part_digest(self) -> str:
        """Hash of the items it is cut down to; empty where it is whole."""
        if self.only is None:
            return ""
        return hashlib.sha256(b"".join(sorted(self.only))).hexdigest()[:16]

    @cached_property
    def data_digest(self) -> str:
        """The revision of its data by content, whatever the limit."""
        return identity.data_digest({item: s.target for item, s in self._everything.items()})

    @cached_property
    def prompts_digest(self) -> str:
        """What a judge is told besides questions and answers, whatever the limit."""
        if self.task.rubric is None:
            return ""
        rubric = self.task.rubric
        shown = (
            rubric.views(sample, ANY_ANSWER, rubric.against(sample) if rubric.against else OTHER)
            for sample in self._everything.values()
        )
        templates = {view.template for views in shown for view in views}
        return identity.digest(sorted(templates)).hex()[:16]

    def check_prompts(self) -> None:
        """Raises DataError where a judge's prompt is not to be had, before an answer is asked."""
        if self.task.rubric:
            assert self.prompts_digest

    @cached_property
    def _everything(self) -> dict[bytes, Sample]:
        found: dict[bytes, Sample] = {}
        for sample in self.task.samples(self._rows):
            item = identity.item(self.task, sample)
            if item in found:
                raise DataError(
                    f"{self.task.name}: the question {sample.id!r} is there twice: "
                    "remove one of the rows, or give them ids of their own"
                )
            found[item] = sample
        if not found:
            raise DataError(f"{self.task.name}: its data hold no questions; check `data:`")
        return found

    @property
    def _rows(self) -> Rows:
        if self.task.source is None:
            return _no_rows
        from evalkit.data import open_rows

        return open_rows(self.task.source, self.data)


def sit(
    section: TaskSection, data: Path | None, limit: int | None, rubric: Path | None = None
) -> tuple[Exam, ...]:
    """The tasks a section of the config names, with what the section says put into force."""
    changes: dict[str, Any] = section.sampling.model_dump(exclude_none=True)
    return tuple(
        Exam(
            replace(
                _judged(task, rubric),
                sampling=replace(task.sampling, **changes),
                epochs=section.epochs or task.epochs,
            ),
            section,
            data,
            limit,
        )
        for task in plugins.tasks(section.name, section.preset)
    )


def _judged(task: Task, rubric: Path | None) -> Task:
    """The task itself, or judged by a rubric of the user's."""
    if rubric is None:
        return task
    from evalkit.judging.written import judged

    return judged(task, rubric)


def _module(task: Task) -> str:
    return task.samples.__module__


def _content_hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _no_rows(split: str) -> Iterator[dict[str, Any]]:
    raise DataError(f"this task has no data files, yet asked for its split {split!r}")
