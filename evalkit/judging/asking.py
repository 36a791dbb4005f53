"""Asking judges: every judgment that is missing, each kept before the next question is taken.

A judge is loaded once for all cells, after the checkpoints have left the device.  What it said in
another cell about the same answer is borrowed from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from evalkit.asking.meter import HOPELESS
from evalkit.asking.pool import pool, run
from evalkit.asking.questions import prepare
from evalkit.asking.starting import start
from evalkit.errors import ModelError
from evalkit.events import Asked, Notify, silent
from evalkit.judging import judgments
from evalkit.judging.judgments import Judgment
from evalkit.judging.panel import Judge, Panel
from evalkit.judging.questions import Docket, Question, every
from evalkit.storage.journal import Journal
from evalkit.storage.lock import hold
from evalkit.types import Model, Response

OFTEN = 50  # questions between two words to whoever watches


@dataclass(eq=False)
class _Folder:
    """A folder of judgments that is being added to."""

    journal: Journal
    known: dict[str, Judgment]
    label: str

    def keep(self, key: str, response: Response, *, borrowed: bool = False) -> None:
        self.journal.append(judgments.line(key, response, borrowed=borrowed))
        self.known[key] = Judgment(response, borrowed)


@dataclass
class _Job:
    """A question to be asked, and the folders that want its judgment."""

    folder: _Folder
    question: Question
    attempt: int
    others: list[_Folder] = field(default_factory=list)  # with the same answer: they borrow it

    def keep(self, response: Response) -> None:
        key = self.question.key(self.attempt)
        self.folder.keep(key, response)
        for other in self.others:
            other.keep(key, response, borrowed=True)


@dataclass
class _Count:
    """How far one judge has come; gives up on one that only fails."""

    total: int
    notify: Notify
    done: int = 0
    failed: int = 0

    def one(self, judge: str, label: str, response: Response) -> None:
        self.done += 1
        self.failed += bool(response.error)
        if self.failed == self.done >= HOPELESS:
            raise ModelError(
                f"{judge}: the first {self.done} judgments all failed, the last with: "
                f"{response.error}; mend it and run again"
            )
        if self.done % OFTEN == 0 or self.done == self.total:
            self.notify(Asked(judge, f"judging {label}", self.done, self.total, self.failed))


def judge_all(panel: Panel, dockets: Sequence[Docket], notify: Notify = silent) -> None:
    """Asks every judge for every judgment that is missing, and what could not be read again.

    Raises ModelError when a judge cannot be loaded, StoreError when judgments can no longer be
    kept; both leave every judgment in place.
    """
    due = [docket for docket in dockets if missing(panel, docket)]
    with ExitStack() as stack:
        folders: dict[Path, _Folder] = {}
        jobs: dict[str, _Job] = {}
        for docket in due:
            if docket.folder not in folders:
                folders[docket.folder] = _opened(stack, docket)
            folder = folders[docket.folder]
            for job in _jobs(panel, docket, folder):
                first = jobs.setdefault(job.question.key(job.attempt), job)
                if first.folder is not folder and folder not in first.others:
                    first.others.append(folder)
        for judge in panel.judges:
            own = [job for job in jobs.values() if job.question.judge == judge]
            if own:
                run(_ask(judge, own, _Count(len(own), notify), due[0].folder.parents[1]))


def missing(panel: Panel, docket: Docket) -> bool:
    """Whether anything of a docket is still to be asked."""
    known = judgments.known(docket.folder)
    return any(question.due(known) is not None for question in every(panel, docket))


def outstanding(panel: Panel, docket: Docket) -> set[str]:
    """The judgments of a docket that are still to be asked for, by their keys."""
    known = judgments.known(docket.folder)
    due = ((question, question.due(known)) for question in every(panel, docket))
    return {question.key(attempt) for question, attempt in due if attempt is not None}


def _opened(stack: ExitStack, docket: Docket) -> _Folder:
    stack.enter_context(hold(docket.folder / "lock"))
    kept = stack.enter_context(Journal(judgments.file_of(docket.folder)))
    return _Folder(kept, judgments.known(docket.folder), docket.exam.label)


def _jobs(panel: Panel, docket: Docket, folder: _Folder) -> list[_Job]:
    """The questions that have to be asked, each once; those answered next door are borrowed."""
    wanted: dict[str, _Job] = {}
    for question in every(panel, docket):
        attempt = question.due(folder.known)
        if attempt is not None:
            wanted.setdefault(question.key(attempt), _Job(folder, question, attempt))
    for key, found in _next_door(docket.folder, wanted):
        if key not in folder.known:
            folder.keep(key, found.response, borrowed=True)
    for key, job in list(wanted.items()):
        attempt = job.question.due(folder.known)
        if attempt is None:
            del wanted[key]
        else:
            job.attempt = attempt
    return list(wanted.values())


def _next_door(folder: Path, wanted: Iterable[str]) -> Iterator[tuple[str, Judgment]]:
    """Judgments that other cells of the task hold already."""
    keys = set(wanted)
    for path in sorted(folder.parent.glob(f"*/{judgments.file_of(folder).name}")):
        if keys and path.parent != folder:
            found = judgments.known(path.parent)
            yield from ((k, found[k]) for k in keys & {*found} if not found[k].response.error)


async def _ask(judge: Judge, jobs: list[_Job], count: _Count, results: Path) -> None:
    model = await asyncio.to_thread(judge.backend.open, judge.checkpoint)

    async def one(job: _Job) -> None:
        response = await _asked(model, judge, job)
        count.one(judge.name, job.folder.label, response)

    try:
        await start(model, judge.checkpoint, results, count.notify)
        await pool(jobs, one, model.concurrency)
    finally:
        await model.close()


async def _asked(model: Model, judge: Judge, job: _Job) -> Response:
    """Puts a question until its answer can be read, or its tries are used up."""
    while True:
        asked = job.question.attempt(job.attempt)
        prompt = prepare(asked.prompt, judge.checkpoint, model)
        response = await model.generate(replace(asked, prompt=prompt))
        job.keep(response)
        again = None if response.error else job.question.due(job.folder.known)
        if again is None:
            return response
        job.attempt = again
