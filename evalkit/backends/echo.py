"""A model of known skill, for dry runs and tests: right on a fixed share of the items.

Whether an item is answered rightly is a function of the seed, the task, the item and the epoch,
so two of these with one seed are nested: the more skilled one answers all that the other does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evalkit.backends._options import options
from evalkit.errors import ConfigError, ModelError
from evalkit.types import (
    Backend,
    Checkpoint,
    LogLikelihood,
    Prompt,
    Request,
    Response,
    Sample,
    Task,
)

OPTIONS: Mapping[str, Any] = {"skill": 1.0, "seed": 0}
WRONG = "I do not know."
LIKELY, UNLIKELY = -1.0, -10.0


@dataclass(slots=True)
class Echo:
    """Answers with the task's own solution on a share `skill` of the items."""

    skill: float
    seed: int
    format: Literal["chat", "completion"] = "completion"
    concurrency: int = 64

    async def generate(self, request: Request) -> Response:
        """The solution, or an answer that is none."""
        knows = self.draw(request) < self.skill
        if request.task.ask == "loglikelihood":
            return preference(request.task, request.sample, knows)
        if not knows:
            return Response(WRONG)
        if request.task.solution is None:
            return Response(error=f"task {request.task.name!r} declares no solution to echo")
        return Response(request.task.solution(request.sample))

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        """Cannot be told from a context alone; `generate` prefers the right choice."""
        raise ModelError("echo knows no text: ask it by request, it answers by the sample's id")

    async def rolling(self, text: str) -> LogLikelihood:
        """Cannot be told from a text alone."""
        raise ModelError("echo knows no text: it answers by the sample's id")

    async def close(self) -> None:
        """Holds nothing."""

    def draw(self, request: Request) -> float:
        """A number in [0, 1) that belongs to the item and the epoch."""
        key = [self.seed, request.task.name, request.sample.id, request.epoch]
        digest = hashlib.sha256(json.dumps(key).encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


def preference(task: Task, sample: Sample, knows: bool) -> Response:
    """Log-likelihoods under which the task's scorer gives its best grade, or its worst."""
    places = range(len(sample.choices))
    if task.score is None or not sample.choices:
        return Response(error=f"item {sample.id!r} of {task.name!r} offers no choices to prefer")
    offers = [
        Response(text, loglikelihoods=tuple(LIKELY if i == at else UNLIKELY for i in places))
        for at, text in enumerate(sample.choices)
    ]
    sign = 1 if knows == task.higher_is_better else -1
    grades = [sign * task.score(sample, offer).value for offer in offers]
    return offers[grades.index(max(grades))]


def open_(checkpoint: Checkpoint) -> Echo:
    """The model that the options describe."""
    chosen = options(checkpoint, OPTIONS)
    if not 0 <= chosen["skill"] <= 1:
        raise ConfigError(f"checkpoint {checkpoint.name!r}: skill is a share, from 0 to 1")
    return Echo(float(chosen["skill"]), chosen["seed"], checkpoint.format or "completion")


def identify(checkpoint: Checkpoint) -> str:
    """sha256 of the options: nothing else decides an answer."""
    model = open_(checkpoint)
    return hashlib.sha256(f"echo {model.skill} {model.seed}".encode()).hexdigest()


def environment(checkpoint: Checkpoint) -> Mapping[str, str]:
    """The engine's name."""
    return {"engine": "echo"}


BACKENDS = (Backend("echo", open_, identify, environment, OPTIONS, reads_prompt=False),)
