"""A document of lm-eval put to a checkpoint: its own requests, through our backends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from evalkit.types import Asker, Prompt, Response, Sample, Sampling

from . import _lm_eval_class as class_of
from ._lm_eval_loaded import Recipe, load

BEGUN = (
    "the task begins the answer for the model ({prefix!r}), which a chat does not allow: ask with "
    "`format: completion`"
)


@dataclass(frozen=True, slots=True)
class Asking:
    """What `Task.solve` is of a task of lm-eval."""

    recipe: Recipe

    async def __call__(self, sample: Sample, model: Asker) -> Response:
        """The texts that a checkpoint writes, or the likelihoods it gives."""
        loaded, number = load(self.recipe), int(sample.id)
        chat = model.format == "chat"
        kind = loaded.task.OUTPUT_TYPE
        if chat and kind != "loglikelihood_rolling" and (prefix := loaded.begun(number)):
            return Response(finish_reason="error", error=BEGUN.format(prefix=prefix))
        requests = loaded.requests(number, chat=chat)
        if kind == "generate_until":
            prompt, said = requests[0].args[:2]
            config = self.recipe.config
            sampling = (
                class_of.sampling(self.recipe.name, config, said, model.sampling)
                if "class" in config
                else model.sampling
            )
            return await _written(model, prompt, loaded.task.config.repeats, sampling)
        if kind == "loglikelihood_rolling":
            found = await model.rolling(requests[0].args[0])
            return Response(loglikelihoods=(found.total,), greedy=(found.greedy,))
        return await _likely(model, requests, sample.choices)


async def _written(model: Asker, prompt: Prompt, times: int, sampling: Sampling) -> Response:
    """One answer, or several to one prompt, which are graded together.

    Without a temperature they are one answer, which is asked for once.
    """
    drawn = times if sampling.temperature else 1
    answers = [await model.generate(prompt, sampling=sampling) for _ in range(drawn)]
    if times == 1:
        return answers[0]
    answers = answers * (times // drawn)
    cut = any(answer.finish_reason == "length" for answer in answers)
    return replace(
        answers[0],
        turns=tuple(answer.text for answer in answers),
        finish_reason="length" if cut else "stop",
        prompt_tokens=0,
        completion_tokens=0,
    )


async def _likely(model: Asker, requests: list[Any], choices: tuple[str, ...]) -> Response:
    """The likelihood of every request; those of one context are asked together."""
    found = []
    for context, same in groupby(requests, key=lambda request: request.args[0]):
        found += await model.loglikelihood(context, [request.args[1] for request in same])
    totals = tuple(each.total for each in found)
    best = max(range(len(choices)), key=totals.__getitem__)
    text = choices[best] if len(choices) > 1 else ""
    return Response(text=text, loglikelihoods=totals, greedy=tuple(each.greedy for each in found))
