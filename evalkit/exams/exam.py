"""One task as it is sat in this run: its questions, their identities, and what they hash to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError
from evalkit.exams import duplicates
from evalkit.exams.drawn import Drawn, Question, draw, identified
from evalkit.identity import identity
from evalkit.identity.identity import ITEM_BYTES
from evalkit.storage.records import Records, sort
from evalkit.types import Response, Rows, Sample, Task

Places = NDArray[np.bool_]
"""Which of the questions that are asked, in the order of their identities."""

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
    home: Path = Path()  # where paths in its section start from

    @property
    def label(self) -> str:
        """How it is called in reports."""
        return f"{self.task.name}@{self.task.preset}" if self.task.preset else self.task.name

    @property
    def marking(self) -> str:
        """Hash of all that its grades are made from, where no judge gives them."""
        own = self.task.scorer
        return f"{self.source} {own}" if own else self.source

    @cached_property
    def source(self) -> str:
        """Hash of its code and of all that its questions are made from; reads no rows."""
        files = plugins.source_files(_module(self.task))
        whole = hashlib.sha256("\n".join(map(_content_hash, files)).encode())
        whole.update((self.task.definition + self.task.content).encode())
        if self.task.source:
            from evalkit.exams.data import digest

            whole.update(digest(self.task.source, self.data).encode())
        return whole.hexdigest()[:16]

    @cached_property
    def due(self) -> Records:
        """The identities of the questions that are asked, in order: the first `limit` of them.

        That order is a fixed shuffle, so a limit takes the same sample of every checkpoint, and
        raising it keeps what was asked.  Raises DataError when two questions are the same.
        """
        chosen = self._drawn.ids.first(self.limit)
        if self.only is None:
            return chosen
        return sort(ITEM_BYTES, (item for item in self.only if item in chosen))

    @cached_property
    def items(self) -> dict[bytes, Sample]:
        """The questions by identity, in the order of identities, all in memory."""
        found = dict(self._drawn.held or self.stream())
        return {item: found[item] for item in self.due}

    def place(self, item: bytes) -> int:
        """Where a question stands among those that are asked; -1 where it is none of them."""
        return self.due.index(item)

    def __contains__(self, item: bytes) -> bool:
        """Whether a question is asked."""
        return item in self.due

    def stream(self) -> Iterator[Question]:
        """The questions one by one, in order of identity; of the data, where they are many."""
        if self._drawn.held is not None:
            return iter(self.items.items())
        return (each for each in identified(self.task, self._samples()) if each[0] in self)

    def every(self) -> Iterator[Sample]:
        """The questions one by one, whatever the limit, in the order of the data."""
        return iter(self._samples())

    def among(self, places: Places) -> Iterator[Question]:
        """The questions in some places among those that are asked, as `stream` has them."""
        if self.in_order:
            return compress(self.items.items(), places)
        return ((item, sample) for item, sample in self.stream() if places[self.place(item)])

    @property
    def in_order(self) -> bool:
        """Whether its questions come in the order of their identities, being in memory."""
        return self._drawn.held is not None

    def part(self, only: Iterable[bytes]) -> Exam:
        """The same exam cut down to some of its items; its rows are not read again."""
        small = replace(self, only=frozenset(only))
        for shared in ("source", "_drawn", "again", "prompts_digest"):
            vars(small)[shared] = getattr(self, shared)
        return small

    @property
    def part_digest(self) -> str:
        """Hash of the items it is cut down to; empty where it is whole."""
        if self.only is None:
            return ""
        return hashlib.sha256(b"".join(sorted(self.only))).hexdigest()[:16]

    @property
    def data_digest(self) -> str:
        """The revision of its data by content, whatever the limit."""
        return self._drawn.data_digest

    @cached_property
    def again(self) -> dict[bytes, str]:
        """The questions that come more than once, each with the cluster that they are."""
        return duplicates.again(self._everything)

    def cluster_of(self, item: bytes, sample: Sample) -> str:
        """Whom a question belongs with: as the task says, else with its duplicates."""
        return sample.cluster or self.again.get(item, "")

    @cached_property
    def prompts_digest(self) -> str:
        """What a judge is told besides questions and answers, whatever the limit."""
        rubric = self.task.rubric
        if rubric is None:
            return ""
        shown = (
            rubric.views(sample, ANY_ANSWER, rubric.against(sample) if rubric.against else OTHER)
            for _, sample in self._everything()
        )
        templates = {view.template for views in shown for view in views}
        return identity.digest(sorted(templates)).hex()[:16]

    def check_prompts(self) -> None:
        """Raises DataError where a judge's prompt is not to be had, before an answer is asked."""
        if self.task.rubric:
            assert self.prompts_digest

    def _everything(self) -> Iterable[Question]:
        """Every question, whatever the limit."""
        held = self._drawn.held
        return identified(self.task, self._samples()) if held is None else held.items()

    @cached_property
    def _drawn(self) -> Drawn:
        return draw(self.task, self._samples)

    def _samples(self) -> Iterable[Sample]:
        return self.task.samples(self._rows)

    @property
    def _rows(self) -> Rows:
        if self.task.source is None:
            return _no_rows
        from evalkit.exams.data import open_rows

        return open_rows(self.task.source, self.data)


def sit(
    section: TaskSection, data: Path | None, limit: int | None, home: Path = Path()
) -> tuple[Exam, ...]:
    """The tasks a section of the config names, with what the section says put into force.

    Paths in it start from `home`.
    """
    changes: dict[str, Any] = section.sampling.model_dump(exclude_none=True)
    return tuple(
        Exam(
            replace(
                _judged(task, section.rubric, home),
                sampling=replace(task.sampling, **changes),
                epochs=section.epochs or task.epochs,
            ),
            section,
            data,
            limit,
            home=home,
        )
        for task in _tasks(section, data, home)
    )


def _tasks(section: TaskSection, data: Path | None, home: Path) -> Iterable[Task]:
    if section.data:
        from evalkit.own import benchmark

        return (benchmark.task(section, home),)
    return plugins.tasks(plugins.located(section.name, home), section.preset, data)


def _judged(task: Task, rubric: str, home: Path) -> Task:
    """The task itself, or judged by a rubric of the user's."""
    if not rubric:
        return task
    from evalkit.judging.written import judged

    return judged(task, home / Path(rubric).expanduser())


def _module(task: Task) -> str:
    return task.samples.__module__


def _content_hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _no_rows(split: str) -> Iterator[dict[str, Any]]:
    raise DataError(f"this task has no data files, yet asked for its split {split!r}")
