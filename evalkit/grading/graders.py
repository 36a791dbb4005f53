"""Who grades: a thread beside the asking, and processes for what is costly, warm for a whole run.

What runs model code waits for processes of the sandbox: threads wait for it, in place of processes.

A costly scorer's processes are its own: one that dies, of whatever it was given, is replaced and
the sample graded once more, by a process that has done nothing else; the second death is the
sample's own failure.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from evalkit.grading.grade import Grade
from evalkit.grading.process import Job, Worker, grade_here

REST_SECONDS = 0.05
BACKLOG = 1_000
"""Answers that wait to be graded; what comes when so many do is graded once asking has ended."""


class Graders:
    """The thread and the processes that grade; none is started before it is needed."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes or cores()
        self._threads: list[threading.Thread] = []
        self._workers: list[Worker] = []
        self._costly: queue.Queue[Job | None] = queue.Queue(BACKLOG)
        self._quick: deque[Job] = deque()
        self._quick_thread: threading.Thread | None = None
        self._unfinished = threading.Event()  # clear while the quick thread may rest
        self._resting = threading.Event()
        self._failure: BaseException | None = None
        self._closed = False

    def offer(self, job: Job, slow: bool) -> None:
        """Has an answer graded soon, unless too many wait: then its turn comes after the asking."""
        if not slow:
            if len(self._quick) < BACKLOG:
                self._quick.append(job)
            if self._quick_thread is None:
                self._quick_thread = threading.Thread(
                    target=self._grade_quick, name="grading", daemon=True
                )
                self._quick_thread.start()
            return
        self._start()
        with suppress(queue.Full):
            self._costly.put_nowait(job)

    def put(self, job: Job) -> None:
        """Has an answer graded by a process, and waits for room to say so."""
        self._start()
        self._costly.put(job)

    def join(self) -> None:
        """Waits until all that was said is graded; raises what kept a grade from being kept."""
        if self._quick_thread:
            self._resting.clear()
            self._unfinished.set()
            self._resting.wait()
        self._costly.join()
        if self._failure:
            raise self._failure

    def close(self) -> None:
        """Ends what has been started; grades that are not there yet are left to another run."""
        self._closed = True
        self._quick.clear()
        self._unfinished.set()
        if self._quick_thread:
            self._quick_thread.join()
        for worker in self._workers:
            worker.end()
        _clear(self._costly)
        for _ in self._threads:
            self._costly.put(None)
        for thread in self._threads:
            thread.join()

    def _grade_quick(self) -> None:
        """Grades what waits, then rests a while: to be woken for each answer would cost more."""
        while not self._closed:
            while self._quick:
                self._done(self._quick.popleft(), grade_here)
            asked_for = self._unfinished.wait(REST_SECONDS)
            if asked_for and not self._quick:
                self._unfinished.clear()
                self._resting.set()
        self._resting.set()

    def _start(self) -> None:
        if self._threads:
            return
        self._workers = [Worker() for _ in range(self._processes)]
        for worker in self._workers:
            thread = threading.Thread(
                target=self._grade_costly, args=(worker,), name="grading", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _grade_costly(self, worker: Worker) -> None:
        while (job := self._costly.get()) is not None:
            self._done(job, grade_here if job.here else worker.grade)
            self._costly.task_done()

    def _done(self, job: Job, grade: Callable[[Job], Grade]) -> None:
        try:
            found = grade(job)
            if not self._closed:
                job.done(found)
        except BaseException as error:
            self._failure = self._failure or error

    def __enter__(self) -> Graders:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def cores() -> int:
    """How many processes this one may keep busy."""
    own = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(own(0)) if own else os.cpu_count() or 1


def _clear(jobs: queue.Queue[Job | None]) -> None:
    while True:
        try:
            jobs.get_nowait()
        except queue.Empty:
            return
        jobs.task_done()
