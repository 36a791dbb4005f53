"""Asking: every missing sample of a checkpoint's cells through one pool of requests.

All tasks of a checkpoint share the pool, so that no task's slow tail leaves the device idle.
Each answer is in its cell's journal before its worker takes the next question.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from evalkit import identity, journal
from evalkit.errors import EvalkitError, ModelError
from evalkit.events import Asked, Notify
from evalkit.exam import Exam
from evalkit.journal import Journal
from evalkit.store import Answer, Cell, line
from evalkit.turns import Interrupted, Turns
from evalkit.types import Backend, Checkpoint, Model, Prompt, Request, Response

REPORT_SECONDS = 0.5
HOPELESS = 50
"""So many failures before the first answer mean a dead server, not bad luck."""

T = TypeVar("T")


@dataclass
class Sitting:
    """One cell being asked, and how far that has come."""

    exam: Exam
    cell: Cell
    done: int = 0
    errors: int = 0
    asked: int = 0  # answers that were not there before
    seconds: float = 0.0  # summed over requests, which overlap
    elapsed: float = 0.0  # its share of the time that all of them took together

    @property
    def total(self) -> int:
        """Answers that the cell has when it is complete."""
        return len(self.exam.items) * self.exam.task.epochs


@dataclass(frozen=True, slots=True)
class _Question:
    sitting: Sitting
    journal: Journal
    item: bytes
    request_id: bytes
    request: Request
    turns: Turns | None  # for a task that asks more than once


def no_more() -> list[Sitting]:
    """Nothing is to be asked after this."""
    return []


def ask(
    backend: Backend,
    checkpoint: Checkpoint,
    sittings: list[Sitting],
    notify: Notify,
    more: Callable[[], list[Sitting]] = no_more,
) -> None:
    """Asks what is missing in the cells of one checkpoint, and seals them.

    The checkpoint is loaded once: `more` says, when everything has been sealed, what is to be
    asked next, in cells of the first round.  Raises ModelError when it cannot be loaded or answers
    nothing but errors, StoreError when answers can no longer be kept; both leave every answer in
    place.
    """
    with ExitStack() as stack:
        for sitting in sittings:
            stack.enter_context(sitting.cell.lock())
        run(_ask(backend, checkpoint, sittings, notify, more))


async def _ask(
    backend: Backend,
    checkpoint: Checkpoint,
    sittings: list[Sitting],
    notify: Notify,
    more: Callable[[], list[Sitting]],
) -> None:
    model = await asyncio.to_thread(backend.open, checkpoint)
    meter = _Meter(checkpoint, notify, may_be_dead=backend.reads_prompt)
    try:
        while sittings:
            await _round(model, backend, checkpoint, sittings, meter)
            for sitting in sittings:
                sitting.cell.seal()
            sittings = await asyncio.to_thread(more)
    finally:
        await model.close()


async def _round(
    model: Model, backend: Backend, checkpoint: Checkpoint, sittings: list[Sitting], meter: _Meter
) -> None:
    async def answer(question: _Question) -> None:
        started = time.monotonic()
        response = await respond(
            model, question.request, question.turns, reads_prompt=backend.reads_prompt
        )
        stored = _stored(question, response)
        question.journal.append(line(stored))
        meter.count(question.sitting, response, time.monotonic() - started)

    with ExitStack() as stack:
        await pool(
            (
                question
                for sitting in sittings
                for question in _missing(sitting, stack, checkpoint, model, backend)
            ),
            answer,
            model.concurrency,
        )
    meter.share_time(sittings)
    for sitting in sittings:
        if sitting.total:
            meter.report(sitting)


def _missing(
    sitting: Sitting, stack: ExitStack, checkpoint: Checkpoint, model: Model, backend: Backend
) -> Iterator[_Question]:
    """The questions of a cell that have no answer yet, rendered as they are needed."""
    known = {
        key: stored.request
        for key, stored in sitting.cell.answers().items()
        if not stored.response.error
    }
    kept = stack.enter_context(Journal(sitting.cell.journal_path))
    task = sitting.exam.task
    turns = _turns(sitting, stack, checkpoint, model) if task.solve else None
    for epoch in range(task.epochs):
        for item, original in sitting.exam.items.items():
            sample = task.at(original, epoch)
            prompt = prepare(sample.rendered(), checkpoint, model) if backend.reads_prompt else ""
            seed = identity.sampling_seed(item, epoch)
            request = Request(prompt, task.sampling, task, sample, epoch, seed)
            request_id = identity.request(request)
            if known.get((item, epoch)) == request_id:
                sitting.done += 1
            else:
                yield _Question(
                    sitting,
                    kept,
                    item,
                    request_id,
                    request,
                    turns(request=request, item=item) if turns else None,
                )


def _turns(
    sitting: Sitting, stack: ExitStack, checkpoint: Checkpoint, model: Model
) -> Callable[..., Turns]:
    """What makes the turns of a cell's samples, those that an earlier run asked among them."""
    path = sitting.cell.turns_path
    known: dict[str, Any] = {row["key"]: row["said"] for row in journal.read(path)}
    kept = stack.enter_context(Journal(path))
    shape = partial(prepare, checkpoint=checkpoint, model=model)
    return partial(Turns, model, shape=shape, known=known, journal=kept)


def prepare(prompt: Prompt, checkpoint: Checkpoint, model: Model) -> Prompt:
    """The prompt in the form the checkpoint is asked in: a conversation, or plain text."""
    shape = identity.as_messages if model.format == "chat" else identity.as_text
    return shape(prompt, checkpoint.system_prompt)


async def respond(
    model: Model, request: Request, turns: Turns | None = None, *, reads_prompt: bool = True
) -> Response:
    """Puts one sample in the way its task asks: for text, for likelihoods, in several turns."""
    task, sample = request.task, request.sample
    if not reads_prompt:
        return await model.generate(request)
    if task.solve and turns:
        try:
            return turns.whole(await task.solve(sample, turns))
        except Interrupted as interrupted:
            return Response(finish_reason="error", error=interrupted.error)
    if task.ask == "generate":
        return await model.generate(request)
    try:
        found = await model.loglikelihood(request.prompt, sample.choices)
    except ModelError as error:
        return Response(finish_reason="error", error=str(error))
    totals = tuple(choice.total for choice in found)
    best = max(range(len(totals)), key=totals.__getitem__)
    greedy = tuple(choice.greedy for choice in found)
    return Response(text=sample.choices[best], loglikelihoods=totals, greedy=greedy)


def _stored(question: _Question, response: Response) -> Answer:
    sample = question.request.sample
    text = sample.question or _last_turn(question.request)
    return Answer(
        question.item, sample.id, question.request.epoch, question.request_id, text, response
    )


def _last_turn(request: Request) -> str:
    prompt = request.prompt or request.sample.rendered()
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


class _Meter:
    """Counts answers, tells the watcher, and gives up on a server that only fails."""

    def __init__(self, checkpoint: Checkpoint, notify: Notify, *, may_be_dead: bool) -> None:
        self.checkpoint = checkpoint
        self.notify = notify
        self.may_be_dead = may_be_dead
        self.failures = 0
        self.told = 0.0
        self.started = time.monotonic()

    def share_time(self, sittings: list[Sitting]) -> None:
        """Shares the time since the start by how long each sitting's requests took."""
        elapsed = time.monotonic() - self.started
        total = sum(sitting.seconds for sitting in sittings)
        for sitting in sittings:
            sitting.elapsed = elapsed * sitting.seconds / total if total else 0.0

    def count(self, sitting: Sitting, response: Response, seconds: float) -> None:
        sitting.done += 1
        sitting.asked += 1
        sitting.seconds += seconds
        if response.error:
            sitting.errors += 1
            self.failures += 1
            if self.may_be_dead and self.failures >= HOPELESS:
                raise ModelError(
                    f"{self.checkpoint.name}: the first {self.failures} requests all failed, "
                    f"the last with: {response.error}; mend it and run again"
                )
        else:
            self.may_be_dead = False
        if time.monotonic() - self.told >= REPORT_SECONDS:
            self.report(sitting)

    def report(self, sitting: Sitting) -> None:
        self.told = time.monotonic()
        self.notify(
            Asked(
                self.checkpoint.name,
                sitting.exam.label,
                sitting.done,
                sitting.total,
                sitting.errors,
            )
        )


async def pool(jobs: Iterable[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Does every job, `workers` at a time; the first failure stops them all.

    The workers share one iterator, so memory does not grow with the number of jobs.
    """
    shared = iter(jobs)

    async def worker() -> None:
        for job in shared:
            await work(job)

    async with asyncio.TaskGroup() as group:
        for _ in range(max(1, workers)):
            group.create_task(worker())


def run(main: Awaitable[T]) -> T:
    """Runs a coroutine to its end; of several failures at once, the one a user can mend."""

    async def whole() -> T:
        return await main

    try:
        return asyncio.run(whole())
    except BaseExceptionGroup as group:
        raise _telling(group) from None


def _telling(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves: list[BaseException] = []
    queue: list[BaseException] = [group]
    while queue:
        error = queue.pop()
        if isinstance(error, BaseExceptionGroup):
            queue.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((error for error in leaves if isinstance(error, EvalkitError)), leaves[0])
