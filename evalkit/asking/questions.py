"""What is still to be asked of a cell, rendered as it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from evalkit.asking.sitting import Sitting
from evalkit.asking.turns import Turns
from evalkit.identity import identity
from evalkit.retrieval import Context
from evalkit.storage import journal
from evalkit.storage.answer import Answer
from evalkit.storage.journal import Journal
from evalkit.storage.standing import key
from evalkit.types import Backend, Checkpoint, Model, Prompt, Request, Response, Sample

Shape = Callable[[Prompt], Prompt]


@dataclass(frozen=True, slots=True)
class Question:
    """One request on its way, and where its answer goes."""

    sitting: Sitting
    journal: Journal
    item: bytes
    request_id: bytes
    request: Request
    turns: Turns | None  # for a task that asks more than once

    def answered(self, response: Response) -> Answer:
        """The answer as it is stored."""
        sample, epoch = self.request.sample, self.request.epoch
        text = _with_options(sample) if sample.question else _last_turn(self.request)
        return Answer(self.item, sample.id, epoch, self.request_id, text, response)


def missing(
    sitting: Sitting, stack: ExitStack, checkpoint: Checkpoint, model: Model, backend: Backend
) -> Iterator[Question]:
    """The questions of a cell that have no answer yet; its journals stay open in the stack."""
    known = sitting.cell.known()
    kept = stack.enter_context(Journal(sitting.cell.journal_path))
    task = sitting.exam.task
    turns = _turns(sitting, stack, checkpoint, model) if task.solve else None
    shaped = _shaper(checkpoint, model, backend)
    for item, original in sitting.exam.stream():
        for epoch in range(task.epochs):
            sample = task.at(original, epoch)
            shape = shaped(sample)
            prompt = shape(sample.rendered()) if backend.reads_prompt else ""
            seed = identity.sampling_seed(item, epoch)
            request = Request(prompt, task.sampling, task, sample, epoch, seed)
            request_id = identity.request(request)
            if key(item, epoch) + request_id in known:
                sitting.done += 1
            else:
                own = turns(request=request, item=item, shape=shape) if turns else None
                yield Question(sitting, kept, item, request_id, request, own)


def _turns(
    sitting: Sitting, stack: ExitStack, checkpoint: Checkpoint, model: Model
) -> Callable[..., Turns]:
    """What makes the turns of a cell's samples, those that an earlier run asked among them."""
    path = sitting.cell.turns_path
    known: dict[str, Any] = {row["key"]: row["said"] for row in journal.read(path)}
    kept = stack.enter_context(Journal(path))
    shown = checkpoint.name if checkpoint.retrieval else ""
    return partial(Turns, model, known=known, journal=kept, shown_documents=shown)


def _shaper(checkpoint: Checkpoint, model: Model, backend: Backend) -> Callable[[Sample], Shape]:
    """How a sample's prompts become those of the checkpoint, whichever turn of it they are."""
    plain = partial(prepare, checkpoint=checkpoint, model=model)
    if checkpoint.retrieval is None or not backend.reads_prompt:
        return lambda _: plain
    context = Context(checkpoint.retrieval)
    return lambda sample: partial(plain, context=context.of(sample))


def prepare(prompt: Prompt, checkpoint: Checkpoint, model: Model, context: str = "") -> Prompt:
    """The prompt in the form the checkpoint is asked in: a conversation, or plain text."""
    shape = identity.as_messages if model.format == "chat" else identity.as_text
    return shape(prompt, checkpoint.system_prompt, context)


def _with_options(sample: Sample) -> str:
    """The question for people, who cannot read an answer `B` without the options."""
    options = [f"{chr(ord('A') + i)}. {choice}" for i, choice in enumerate(sample.choices)]
    return "\n".join([sample.question, *options])


def _last_turn(request: Request) -> str:
    prompt = request.prompt or request.sample.rendered()
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]
