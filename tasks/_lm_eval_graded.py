"""Answers graded by lm-eval's own filters and metrics, one document at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.grading.grade import without_thoughts
from evalkit.types import Graded, Response, Sample, Score

from ._lm_eval_config import CLASSES, Metric, unread
from ._lm_eval_loaded import Loaded, Recipe, load, plain


@dataclass(frozen=True, slots=True)
class Grade:
    """What `Task.score` is of a task of lm-eval: one of its metrics, under one of its filters."""

    recipe: Recipe
    metric: Metric
    filter: str

    def __call__(self, sample: Sample, response: Response) -> Score:
        """The metric's score of the sample; all that lm-eval says of it are the details."""
        loaded = load(self.recipe)
        if loaded.task.OUTPUT_TYPE != "generate_until" and not response.loglikelihoods:
            return Score(self.metric.worst)  # of a backend that gives texts only
        doc = loaded.docs[int(sample.id)]
        results = read(loaded, doc, response, self.filter)
        found = loaded.task.process_results(doc, results)
        if self.metric.name not in found:
            return Score(math.nan)
        value = self._value(loaded, found[self.metric.name], sample)
        answer = f"{value:.4f}" if self.metric.in_bits else self._answer(loaded, response, results)
        outcome = "measured" if self.metric.measured else ""
        return Score(value, answer, {name: plain(each) for name, each in found.items()}, outcome)

    def _value(self, loaded: Loaded, raw: Any, sample: Sample) -> float:
        """The score of one sample by what lm-eval would make its metric of, over all of them."""
        if self.metric.in_bits:
            nats, size = (
                raw if isinstance(raw, tuple) else (raw, len(_text(sample.target).encode()))
            )
            return _bits(nats, size, self.metric.bounds[1])
        if self.metric.aggregation in CLASSES and not _is_number(raw):
            due, chosen = raw
            return float(due == chosen)
        return float(raw) if _is_number(raw) else float(_aggregate(loaded, self.metric.name, [raw]))

    def _answer(self, loaded: Loaded, response: Response, results: Sequence[Any]) -> str | None:
        """What was read of the answer; None where the filter found nothing."""
        if loaded.task.OUTPUT_TYPE == "generate_until":
            found = _text(results[0])
            return None if found in unread(self.recipe.config) else found
        return response.text or f"{response.loglikelihoods[0]:.4f}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What `Task.metrics` is of a task of lm-eval: its numbers, as lm-eval makes them."""

    recipe: Recipe

    def __call__(self, graded: Sequence[Graded]) -> Mapping[str, float]:
        """Every metric over all samples that have a score."""
        loaded = load(self.recipe)
        scores = [score for each in graded for score in each.scores if score is not None]
        names = dict.fromkeys(name for score in scores for name in score.details)
        found = {}
        for name in names:
            items = [_as_it_was(s.details[name]) for s in scores if name in s.details]
            try:
                found[name] = float(_aggregate(loaded, name, items))
            except Exception:  # of the task's own: one number less never stops a run
                continue
        return found


def read(loaded: Loaded, doc: Any, response: Response, chosen: str) -> list[Any]:
    """What lm-eval's filter of that name makes of an answer: a result for each request."""
    from lm_eval.api.instance import Instance

    kind = loaded.task.OUTPUT_TYPE
    if kind == "generate_until":
        texts = [without_thoughts(Response(text)).text for text in response.turns]
        said: list[list[Any]] = [texts or [response.text]]
    elif kind == "loglikelihood_rolling":
        said = [[response.loglikelihoods[0]]]
    else:
        greedy = response.greedy or (False,) * len(response.loglikelihoods)
        said = [[each] for each in zip(response.loglikelihoods, greedy, strict=True)]
    asked = "loglikelihood" if kind == "multiple_choice" else kind
    instances = [
        Instance(request_type=asked, doc=doc, arguments=("",), idx=i, resps=each)
        for i, each in enumerate(said)
    ]
    ensemble = next(each for each in loaded.task._filters if each.name == chosen)
    ensemble.apply(instances)
    return [instance.filtered_resps[chosen] for instance in instances]


def _aggregate(loaded: Loaded, name: str, items: list[Any]) -> Any:
    from lm_eval.api.metrics import mean

    return loaded.task.aggregation().get(name, mean)(items)


def _bits(nats: float, size: int, most: float) -> float:
    """Bits per byte or word, within the scale: a text that cannot be is as bad as can be."""
    bits = -nats / math.log(2) / size if size else most
    return min(max(bits, 0.0), most) if math.isfinite(bits) else most


def _is_number(value: Any) -> bool:
    return isinstance(plain(value), int | float)


def _as_it_was(value: Any) -> Any:
    """What JSON keeps as a list was a tuple: lm-eval's pairs are."""
    return tuple(value) if isinstance(value, list) else value


def _text(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        return str(value[0])
    return str(value)
