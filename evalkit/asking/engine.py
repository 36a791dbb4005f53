"""Asking: every missing sample of a checkpoint's cells through one pool of requests.

All tasks of a checkpoint share the pool, so that no task's slow tail leaves the device idle.
Each answer is in its cell's journal before its worker takes the next question, and is graded
beside the asking, which waits for no scorer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from evalkit.asking.meter import Meter
from evalkit.asking.pool import pool, run
from evalkit.asking.questions import Question, missing, prepare
from evalkit.asking.sitting import Sitting
from evalkit.asking.starting import start
from evalkit.asking.turns import Interrupted, Turns
from evalkit.errors import EngineEnded, EvalkitError, ModelError
from evalkit.events import Notify
from evalkit.storage.answer import line
from evalkit.types import Backend, Checkpoint, Model, Request, Response

__all__ = ["Sitting", "ask", "no_more", "pool", "prepare", "respond", "run"]


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
    model = await asyncio.to_thread(_open, backend, checkpoint)
    meter = Meter(checkpoint, notify, may_be_dead=backend.reads_prompt)
    try:
        await start(model, checkpoint, sittings[0].cell.path.parents[1], notify)
        while sittings:
            await _round(model, backend, checkpoint, sittings, meter)
            for sitting in sittings:
                sitting.cell.seal()
            sittings = await asyncio.to_thread(more)
    finally:
        await model.close()


def _open(backend: Backend, checkpoint: Checkpoint) -> Model:
    """The model; raises ModelError if a trainer has overwritten it since it was identified."""
    model = backend.open(checkpoint)
    if checkpoint.by_content:
        now = backend.identify(replace(checkpoint, identity=""))
        if now != checkpoint.identity:
            asyncio.run(model.close())
            raise ModelError(
                f"{checkpoint.name}: its files changed after the run had begun: run again, and "
                "what is there now is asked"
            )
    return model


async def _round(
    model: Model, backend: Backend, checkpoint: Checkpoint, sittings: list[Sitting], meter: Meter
) -> None:
    async def answer(question: Question) -> None:
        started = time.monotonic()
        response = await respond(
            model, question.request, question.turns, reads_prompt=backend.reads_prompt
        )
        stored = question.answered(response)
        question.journal.append(line(stored))
        for grading in question.sitting.gradings:
            grading.take(question.request.sample, stored)
        meter.count(question.sitting, response, time.monotonic() - started)

    meter.sittings = sittings
    with ExitStack() as stack:
        await pool(
            (
                question
                for sitting in sittings
                for question in missing(sitting, stack, checkpoint, model, backend)
            ),
            answer,
            model.concurrency,
        )
    meter.share_time(sittings)
    for sitting in sittings:
        if sitting.total:
            meter.report(sitting)


async def respond(
    model: Model, request: Request, turns: Turns | None = None, *, reads_prompt: bool = True
) -> Response:
    """Puts one sample in the way its task asks: for text, for likelihoods, in several turns."""
    task = request.task
    if not reads_prompt:
        return await model.generate(request)
    if task.solve and turns:
        try:
            return turns.whole(await task.solve(request.sample, turns))
        except Interrupted as interrupted:
            return Response(finish_reason="error", error=interrupted.error)
        except EvalkitError:
            raise
        except Exception as error:  # a task is a plugin: one bad sample never stops a run
            words = f"solve failed: {type(error).__name__}: {error}"[:200]
            return Response(finish_reason="error", error=words)
    if task.ask == "generate":
        return await model.generate(request)
    return await _preferred(model, request)


async def _preferred(model: Model, request: Request) -> Response:
    """The likeliest of a sample's choices, with the log-likelihoods of all."""
    choices = request.sample.choices
    try:
        found = await model.loglikelihood(request.prompt, choices)
    except EngineEnded:
        raise
    except ModelError as error:
        return Response(finish_reason="error", error=str(error))
    totals = tuple(choice.total for choice in found)
    best = max(range(len(totals)), key=totals.__getitem__)
    greedy = tuple(choice.greedy for choice in found)
    return Response(text=choices[best], loglikelihoods=totals, greedy=greedy)
