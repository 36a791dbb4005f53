"""A process that grades, one answer at a time, replaced when it dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pickle import PicklingError
from typing import TYPE_CHECKING

from evalkit.grading.grade import Grade, Grader, one
from evalkit.processes.children import end_with
from evalkit.storage.answer import Answer
from evalkit.types import Sample

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to be graded, and what is done with its grade."""

    grader: Grader
    sample: Sample
    answer: Answer | None
    done: Callable[[Grade], None]
    here: bool = False  # by a thread of ours, which waits for processes anyway


def grade_here(job: Job) -> Grade:
    """The grade, by this thread."""
    return one(job.grader, job.sample, job.answer)


class Worker:
    """One process that grades, replaced when it dies."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._line: Connection | None = None
        self._ended = False

    def grade(self, job: Job) -> Grade:
        """The grade; of a sample that kills its process twice, that it failed."""
        # Prompts are rendered to cross over.
        sample = replace(job.sample, prompt=job.sample.rendered())
        how = ""
        for _ in range(2):
            line = self._connected()
            try:
                line.send((job.grader, sample, job.answer))
            except (PicklingError, AttributeError, TypeError):  # a scorer that cannot cross over
                return grade_here(job)
            except OSError:
                how = self._bury()
                continue
            try:
                found: Grade = line.recv()
                return found
            except (EOFError, OSError):
                how = self._bury()
            if self._ended:
                break
        return None, f"scorer failed: its process died twice ({how})"

    def _connected(self) -> Connection:
        if self._line is None:
            from multiprocessing import get_context

            context = get_context("spawn")
            self._line, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other, os.getpid()))
            self._process.start()
            other.close()
        return self._line

    def _bury(self) -> str:
        """Lets a dead process go; says how it ended."""
        process, line = self._process, self._line
        self._process = self._line = None
        if line is not None:
            line.close()
        if process is None:
            return "ended"
        process.join()
        code = process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._ended = True
        if self._process is not None:
            self._process.terminate()
            self._process.join()


def _serve(line: Connection, parent: int) -> None:
    """What a process does: grades what it is given until nothing more comes."""
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the whole group; we are told
    while True:
        try:
            grader, sample, answer = line.recv()
        except EOFError:
            return
        line.send(one(grader, sample, answer))
