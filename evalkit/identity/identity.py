"""The hashes by which things are told apart: items, requests, exams and cells.

`item` pairs two cells, `request` decides whether an answer is reused, `exam` says whether two
cells may be compared at all, and the `key` names a cell's folder.  Each is a sha256 over
canonical JSON, so the same thing has the same hash on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import orjson

from evalkit.types import Checkpoint, Message, Prompt, Request, Sample, Sampling, Task

ITEM_BYTES = 16
DIGEST_BYTES = 32


def digest(value: Any) -> bytes:
    """sha256 of canonical JSON."""
    return hashlib.sha256(orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)).digest()


def _plain(value: Any) -> Any:
    """Text with broken surrogates, which JSON cannot carry, hashes like its repaired form."""
    try:
        orjson.dumps(value)
    except TypeError:
        return repr(value)
    return value


def item(task: Task, sample: Sample) -> bytes:
    """What two cells are paired by: task, upstream id, question and options, in any order."""
    question = question_of(sample)
    return digest([task.name, sample.id, question, sorted(sample.choices)])[:ITEM_BYTES]


def question_of(sample: Sample) -> str:
    """What is asked, without what all prompts of the task have in common, where that is known."""
    return sample.question or _text(sample.rendered())


def _text(prompt: Prompt) -> str:
    if isinstance(prompt, str):
        return prompt
    return "\n\n".join(message["content"] for message in prompt)


def request(asked: Request) -> bytes:
    """What an answer is the answer to; equal for the same checkpoint means: reuse it."""
    sampling = _sampling(asked.sampling)
    who = [asked.task.name, asked.sample.id] if asked.prompt == "" else []
    options = list(asked.sample.choices) if asked.task.ask == "loglikelihood" else []
    tools = [dict(tool) for tool in asked.sample.tools]
    prompt = asked.prompt if isinstance(asked.prompt, str) else list(asked.prompt)
    whole = [who, prompt, tools, sampling, asked.epoch, options]
    wanted = [asked.top_logprobs, asked.schema]  # what hardly anyone wants changes no hash
    return digest([*whole, wanted] if any(wanted) else whole)[:ITEM_BYTES]


@lru_cache(maxsize=64)
def _sampling(sampling: Sampling) -> dict[str, Any]:
    return asdict(sampling)


def sampling_seed(item_id: bytes, epoch: int) -> int:
    """A seed that depends on the item and the epoch alone."""
    return int.from_bytes(hashlib.sha256(item_id + epoch.to_bytes(4, "big")).digest()[:4], "big")


def treatment(checkpoint: Checkpoint) -> dict[str, Any]:
    """What is being compared: the weights and how they are addressed."""
    found = retrieved(checkpoint)
    return {
        "identity": checkpoint.identity,
        "format": checkpoint.format,
        "system_prompt": checkpoint.system_prompt,
        **({"retrieval": found} if found else {}),
        **({"quantization": checkpoint.quantization} if checkpoint.quantization else {}),
    }


def retrieved(checkpoint: Checkpoint) -> dict[str, Any]:
    """What decides which passages a checkpoint is shown, and how; empty where it is shown none."""
    if checkpoint.retrieval is None:
        return {}
    whole = asdict(checkpoint.retrieval)
    return {name: value for name, value in whole.items() if name not in ("folder", "files")}


def exam(task: Task, judge: Mapping[str, Any] | str = "") -> dict[str, Any]:
    """What must be equal for two cells to be comparable, but for the data, which the cell knows."""
    scorer = task.scorer or (f"{task.name}@{task.preset}" if task.preset else task.name)
    headline = {
        "definition": task.definition,
        "weights": dict(task.weights),
        "fitted": task.refit is not None,
    }
    return {
        "task": task.name,
        "version": task.version,
        "preset": task.preset,
        "fewshot": task.fewshot,
        "ask": task.ask,
        "sampling": asdict(task.sampling),
        "scorer": scorer,
        "judge": judge,
        **{name: value for name, value in headline.items() if value},  # else: the mean over items
    }


def key(task: Task, checkpoint: Checkpoint) -> str:
    """The head of sha256 over all that can change an answer: 8 hexadecimal digits."""
    asked = exam(task)
    for graded_only in ("scorer", "judge", "weights", "fitted"):
        asked.pop(graded_only, None)
    if "samples" not in task.presets.get(task.preset, {}):
        del asked["preset"]
    return digest([treatment(checkpoint), asked]).hex()[:8]


def data_digest(targets: Iterable[bytes]) -> str:
    """The revision of a task's data by content: every item, in order, with its target's digest."""
    whole = hashlib.sha256()
    for piece in targets:
        whole.update(piece)
    return whole.hexdigest()[:16]


def as_messages(prompt: Prompt, system_prompt: str = "", context: str = "") -> list[Message]:
    """The prompt as a conversation, the system prompt first.

    It goes before the task's own in one message: many chat templates take one system message only.
    A context opens what the user says first: it never speaks with the system's authority.
    """
    turns: list[Message] = (
        [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    )
    turns = _opened(turns, context) if context else turns
    if not system_prompt:
        return turns
    if turns and turns[0]["role"] == "system":
        system_prompt, turns = f"{system_prompt}\n\n{turns[0]['content']}", turns[1:]
    return [{"role": "system", "content": system_prompt}, *turns]


def _opened(turns: list[Message], context: str) -> list[Message]:
    first = next((at for at, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
    said = turns[first : first + 1]
    if not said or said[0]["role"] != "user":
        return [*turns[:first], {"role": "user", "content": context}, *turns[first:]]
    with_context: Message = {**said[0], "content": f"{context}\n\n{said[0]['content']}"}
    return [*turns[:first], with_context, *turns[first + 1 :]]


def as_text(prompt: Prompt, system_prompt: str = "", context: str = "") -> str:
    """The prompt as plain text, the rest before it, for a model without a chat template."""
    before = [part for part in (system_prompt, context) if part]
    return "\n\n".join([*before, _text(prompt)])
