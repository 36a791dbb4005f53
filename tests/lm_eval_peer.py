"""One model without weights, as lm-eval asks it and as we do: what it says depends on the prompt.

Two harnesses that score it alike have asked it the same, to the letter.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from evalkit import plugins
from evalkit.backends._wire import cut
from evalkit.configuration.sections import TaskSection
from evalkit.exams.exam import Exam, sit
from evalkit.matrix import Row
from evalkit.run import Held
from evalkit.types import Backend, Checkpoint, LogLikelihood, Prompt, Request, Response
from tests.small_exams import held

LETTERS = "abcABCq .\n"


def _draw(*said: str) -> random.Random:
    return random.Random(hashlib.sha256("\0".join(said).encode()).hexdigest())


def written(prompt: str) -> str:
    """What the model writes after a prompt."""
    draw = _draw("write", prompt)
    return "".join(draw.choice(LETTERS) for _ in range(24))


def likelihood(context: str, continuation: str) -> tuple[float, bool]:
    """How likely it finds a continuation, and whether it would have written it."""
    draw = _draw("continue", context, continuation)
    return -30 * draw.random(), draw.random() < 0.3


def rolled(text: str) -> float:
    """How likely it finds a text."""
    return -3 * len(text) * _draw("roll", text).random()


@dataclass
class Ours:
    """The model as our engine asks it."""

    format: Literal["chat", "completion"]
    concurrency: int = 4

    async def generate(self, request: Request) -> Response:
        text, stopped = cut(written(plain(request.prompt)), request.sampling.stop)
        return Response(text, finish_reason="stop" if stopped else "length")

    async def loglikelihood(
        self, context: Prompt, continuations: Sequence[str]
    ) -> list[LogLikelihood]:
        found = [likelihood(plain(context), each) for each in continuations]
        return [LogLikelihood(total, 1, greedy) for total, greedy in found]

    async def rolling(self, text: str) -> LogLikelihood:
        return LogLikelihood(rolled(text), len(text), False)

    async def close(self) -> None:
        pass


def plain(prompt: Prompt) -> str:
    """A prompt as text: a conversation as JSON, which stands for a chat template here."""
    return prompt if isinstance(prompt, str) else json.dumps(list(prompt))


def theirs(folder: Path, names: Sequence[str], *, chat: bool = False, **said: Any) -> Any:
    """What lm-eval's evaluator makes of the model."""
    from lm_eval.api.model import LM
    from lm_eval.models.utils import postprocess_generated_text

    class Theirs(LM):  # type: ignore[misc]
        tokenizer_name = "none"

        def generate_until(self, requests: list[Any]) -> list[str]:
            return [
                postprocess_generated_text(written(request.args[0]), request.args[1]["until"], None)
                for request in requests
            ]

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            return [likelihood(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            return [rolled(request.args[0]) for request in requests]

        def apply_chat_template(
            self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
        ) -> str:
            assert add_generation_prompt
            return json.dumps(chat_history)

        def chat_template(self, chat_template: bool | str = False) -> str:
            return "json"

    return evaluated(folder, names, Theirs(), chat=chat, **said)


def evaluated(
    folder: Path, names: Sequence[str], model: Any, *, chat: bool = False, **said: Any
) -> Any:
    """lm-eval's own results of its own evaluator, on tasks of a folder."""
    from lm_eval import evaluator
    from lm_eval.tasks import TaskManager

    return evaluator.simple_evaluate(
        model=model,
        tasks=list(names),
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        apply_chat_template=chat,
        fewshot_as_multiturn=chat,
        **said,
    )


def exams(folder: Path, names: Sequence[str], **changed: Any) -> list[Exam]:
    """Tasks of a folder under all their presets."""
    return [
        replace(exam, task=replace(exam.task, **changed))
        for name in names
        for preset in plugins.tasks(f"lm-eval:{name}", data=folder)[0].presets
        for exam in sit(TaskSection(name=f"lm-eval:{name}", preset=preset), folder, None)
    ]


def ours(folder: Path, names: Sequence[str], results: Path, *, chat: bool = False) -> Held:
    """What a run of ours makes of the model."""
    return held([row(chat=chat)], exams(folder, names), results)


def row(*, chat: bool = False, name: str = "base") -> Row:
    """The model as a checkpoint."""
    form: Literal["chat", "completion"] = "chat" if chat else "completion"

    def environment(_: Checkpoint) -> Mapping[str, str]:
        return {"engine": "written"}

    backend = Backend("written", lambda _: Ours(form), lambda c: c.name, environment)
    checkpoint = Checkpoint(name, backend="written", format=form, identity=name)
    return Row(checkpoint, backend)
