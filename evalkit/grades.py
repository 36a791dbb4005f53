"""Many grades at once: by processes where scorers compute, by threads where they run model code.

What is costly to grade is kept in the cell's `grades.jsonl` as it comes, until the table of scores
is written: a run that is killed loses nothing, and one that ran out of time goes on next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from evalkit import identity, journal
from evalkit.errors import SandboxError
from evalkit.exam import Exam
from evalkit.journal import Journal
from evalkit.sandbox import host
from evalkit.store import Answer, Cell
from evalkit.types import Sample, Score

Grade = tuple[Score | None, str]
"""A score with its outcome class; no score where the sample is missing."""

Grader = Callable[[Sample, Answer], Grade]

Pair = tuple[Sample, Answer | None]

UNGRADED = "ungraded"
"""How the outcome of a sample begins that could not be graded now: the next run grades it."""

CHUNK = 8  # samples that a process of a costly scorer takes at once

CODE_SECONDS = 30.0
"""By the clock, for running the code of one answer: more than any takes, on average of a cell."""


def grades(exam: Exam, cell: Cell, grader: Grader, pairs: Sequence[Pair]) -> list[Grade]:
    """The grade of every pair, in order; those of an earlier run are taken as they are."""
    task = exam.task
    if not (task.costly or task.runs_code):
        return [_one(grader, *pair) for pair in pairs]
    found: list[Grade] = [(None, UNGRADED)] * len(pairs)
    with Kept(cell.grades_path(task.preset)) as kept:
        keys = [_key(exam, *pair) for pair in pairs]
        jobs = {i: pair for i, pair in enumerate(pairs) if keys[i] not in kept.known}
        work = _in_threads if task.runs_code else _in_processes
        for i, grade in work(grader, jobs):
            kept.add(keys[i], grade)
            found[i] = grade
        return [kept.known.get(key, grade) for key, grade in zip(keys, found, strict=True)]


class Kept:
    """Grades by what was graded, in a file that a kill does not harm."""

    def __init__(self, path: Path) -> None:
        self.known = {str(row.pop("key")): _read(row) for row in journal.read(path)}
        self._journal = Journal(path)

    def add(self, key: str, grade: Grade) -> None:
        """Keeps a grade that need not be made again."""
        score, outcome = grade
        if score is not None:
            self.known[key] = grade
            self._journal.append({"key": key, "outcome": outcome, "score": asdict(score)})

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()


def _read(row: dict[str, Any]) -> Grade:
    return Score(**row["score"]), str(row["outcome"])


def _key(exam: Exam, sample: Sample, answer: Answer | None) -> str:
    """What a grade is the grade of: the scorer, the sample and the answer."""
    given = None if answer is None else [answer.epoch, asdict(answer.response)]
    who = [exam.source, exam.task.version, exam.task.preset]
    return identity.digest([who, sample.id, sample.target, given]).hex()


def _one(grader: Grader, sample: Sample, answer: Answer | None) -> Grade:
    return (None, "errored") if answer is None else grader(sample, answer)


def _in_processes(grader: Grader, jobs: dict[int, Pair]) -> Iterator[tuple[int, Grade]]:
    """By a process per core; prompts are rendered to cross over."""
    whole = (
        (grader, replace(sample, prompt=sample.rendered()), answer)
        for sample, answer in jobs.values()
    )
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield from zip(jobs, pool.map(_one_of, whole, chunksize=CHUNK), strict=True)


def _one_of(job: tuple[Grader, Sample, Answer | None]) -> Grade:
    return _one(*job)


def _in_threads(grader: Grader, jobs: dict[int, Pair]) -> Iterator[tuple[int, Grade]]:
    """By a thread per core, which waits for the sandbox; what is not done in time is left out."""
    try:
        host.current()
    except SandboxError:  # as said before grading began
        return
    width = host.width()
    seconds = CODE_SECONDS * (1 + len(jobs) / width)
    pool = ThreadPoolExecutor(width)
    try:
        done = {pool.submit(_one, grader, *pair): i for i, pair in jobs.items()}
        for future in as_completed(done, timeout=seconds):
            yield done[future], future.result()
    except TimeoutError:
        pass  # the rest is ungraded
    finally:
        pool.shutdown(cancel_futures=True)
