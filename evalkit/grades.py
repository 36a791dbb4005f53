"""Many grades at once: by processes where scorers compute, by threads where they run model code.

What is costly to grade is kept in the cell's `grades.jsonl` as it comes, until the table of scores
is written: a run that is killed loses nothing, and one that ran out of time goes on next time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
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

Keep = Callable[[str, Grade], None]
"""What is told of each grade as it comes: what was graded, and the grade."""

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
    with Kept(cell.grades_path(task.preset)) as kept:
        keys = [_key(exam, *pair) for pair in pairs]
        due = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in kept.known}
        found = (_in_threads if task.runs_code else _in_processes)(grader, due, kept.add)
        return [kept.known.get(key) or found.get(key, (None, UNGRADED)) for key in keys]


class Kept:
    """Grades by what was graded, in a file that a kill does not harm; safe from any thread."""

    def __init__(self, path: Path) -> None:
        self.known = {str(row.pop("key")): _read(row) for row in journal.read(path)}
        self._journal = Journal(path)
        self._lock = Lock()

    def add(self, key: str, grade: Grade) -> None:
        """Keeps a grade that need not be made again."""
        score, outcome = grade
        if score is not None:
            with self._lock:
                self._journal.append({"key": key, "outcome": outcome, "score": asdict(score)})
                self.known[key] = grade

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
    return identity.digest([who, sample.id, sample.question, sample.target, given]).hex()


def _one(grader: Grader, sample: Sample, answer: Answer | None) -> Grade:
    return (None, "errored") if answer is None else grader(sample, answer)


def _in_processes(grader: Grader, due: Mapping[str, Pair], keep: Keep) -> dict[str, Grade]:
    """By a process per core; prompts are rendered to cross over."""
    whole = (
        (grader, replace(sample, prompt=sample.rendered()), answer)
        for sample, answer in due.values()
    )
    found = {}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for key, grade in zip(due, pool.map(_one_of, whole, chunksize=CHUNK), strict=True):
            found[key] = grade
            keep(key, grade)
    return found


def _one_of(job: tuple[Grader, Sample, Answer | None]) -> Grade:
    return _one(*job)


def _in_threads(grader: Grader, due: Mapping[str, Pair], keep: Keep) -> dict[str, Grade]:
    """By a thread per core, which waits for the sandbox; without what is not done in time."""

    def graded(key: str) -> Grade:
        grade = _one(grader, *due[key])
        keep(key, grade)
        return grade

    try:
        host.current()
    except SandboxError:  # as was said before grading began
        return {}
    pool = ThreadPoolExecutor(host.width())
    try:
        futures = {key: pool.submit(graded, key) for key in due}
        wait(futures.values(), timeout=CODE_SECONDS * (1 + len(due) / host.width()))
    finally:
        pool.shutdown(cancel_futures=True)
    return {key: future.result() for key, future in futures.items() if not future.cancelled()}
