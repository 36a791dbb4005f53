"""Any task of lm-eval: its documents, prompts, filters and metrics; our backends and statistics.

Biderman et al., Lessons from the Trenches on Reproducible Evaluation of Language Models, 2024,
arXiv:2405.14782; EleutherAI/lm-evaluation-harness 0.4.13.

A name is one of its tasks, groups or tags: `lm-eval:hellaswag`, `lm-eval:mmlu`, and with another
number of worked examples `lm-eval:hellaswag:10-shot`.  Task files of one's own are searched first,
in the folder that `data:` names.  Its evaluator and its models take no part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from evalkit.types import Family, Pool, Rows, Sample, Task

from . import _lm_eval_class as class_of
from . import _lm_eval_config as config_of
from . import _lm_eval_identity as identity_of
from ._lm_eval_asked import Asking
from ._lm_eval_config import Metric
from ._lm_eval_files import Found, find
from ._lm_eval_graded import Figures, Grade
from ._lm_eval_groups import Sizes, pools, sizes
from ._lm_eval_index import SUFFIX, own_folder
from ._lm_eval_loaded import Recipe, load
from ._lm_eval_rows import at_home, content_of, rows_of

PREFIX = "lm-eval"
SHOTS = re.compile(r"(.+):(\d+)-shot")


@dataclass(frozen=True, slots=True)
class Documents:
    """What `Task.samples` is of a task of lm-eval."""

    recipe: Recipe

    def __call__(self, _rows: Rows) -> Iterator[Sample]:
        """A sample for each document, by lm-eval's own number."""
        loaded = load(self.recipe)
        for number, doc in enumerate(loaded.docs):
            yield Sample(
                id=str(number),
                prompt=Prompted(self.recipe, number),
                target=loaded.target(doc),
                question=loaded.question(doc),
                choices=loaded.choices(doc),
            )


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompt of one document, rendered when it is asked."""

    recipe: Recipe
    number: int

    def __call__(self) -> Any:
        """The prompt in plain text."""
        return load(self.recipe).prompt(self.number)


def solution(sample: Sample) -> str:
    """The first text that is due, which most filters read rightly."""
    target = sample.target
    return str(target[0] if isinstance(target, list) and target else target)


def open_(name: str) -> tuple[Task, ...]:
    """The tasks of a name; documents are read from EVALKIT_DATA where they lie there."""
    return _open(name, None)


def open_at(name: str, path: Path) -> tuple[Task, ...]:
    """The tasks of a name, by a folder of task files or of documents."""
    return _open(name, path)


def _open(name: str, path: Path | None) -> tuple[Task, ...]:
    shots = SHOTS.fullmatch(name)
    wanted = shots[1] if shots else name
    own = path if path and _holds_task_files(path) else None
    found = find(wanted, [*([own] if own else []), own_folder()])
    opening = Opening(
        group=wanted if len(found) > 1 else "",
        sizes=sizes(found),
        shots=int(shots[2]) if shots else None,
        rows=None if own else path,
    )
    return tuple(task for each in found for task in _tasks(each, opening))


def _holds_task_files(path: Path) -> bool:
    return path.suffix == SUFFIX if path.is_file() else any(path.rglob(f"*{SUFFIX}"))


@dataclass(frozen=True, slots=True)
class Opening:
    """What is said of all tasks that a name stands for."""

    group: str  # "": a task by itself
    sizes: Sizes
    shots: int | None  # None: as each file says
    rows: Path | None  # documents that are given

    def called(self, name: str) -> str:
        """What one of its tasks or groups is called in this run."""
        return f"{PREFIX}:{name}" + ("" if self.shots is None else f":{self.shots}-shot")

    def pools(self, task: Found, chosen: str) -> tuple[Pool, ...]:
        """The numbers over groups that a task's answers under one filter are part of."""
        return pools(task, chosen, self.sizes, self.called)


def _tasks(found: Found, opening: Opening) -> Iterator[Task]:
    """A task under each of its filters; they share their answers, and grade them each its way."""
    config = class_of.told(found.name, at_home(found))
    config_of.check(found.name, config)
    fewshot = config_of.fewshot(found.name, config, opening.shots)
    rows = rows_of(found.name, config, opening.rows, alone=not opening.group)
    definition, content = identity_of.definition(found.config), content_of(found.name, config, rows)
    made_of = f"{definition} {content} {identity_of.scorer(config, '', '')}"
    recipe = Recipe(found.name, fewshot, rows, made_of, config, found.file)
    presets = _presets(recipe, partial(opening.pools, found))
    choices = config_of.kind(config) == "multiple_choice"
    whole = Task(
        name=opening.called(found.name),
        domain=opening.group or found.name,
        version=1,
        samples=Documents(recipe),
        sampling=config_of.sampling(found.name, config),
        ask="loglikelihood" if choices else "generate",
        solve=Asking(recipe),
        costly=config_of.code(config),
        metrics=Figures(recipe),
        solution=None if choices else solution,
        fewshot=fewshot,
        presets=presets,
        definition=definition,
        content=content,
    )
    filters = config_of.filters(config)
    for preset in filters if len(filters) > 1 else [next(iter(presets))]:
        shown = preset if len(filters) > 1 else ""
        yield replace(whole, preset=shown, **presets[preset])


def _presets(
    recipe: Recipe, pools_of: Callable[[str], tuple[Pool, ...]]
) -> dict[str, dict[str, Any]]:
    """Every metric under every filter, by name.

    Of several filters, each names its first metric.
    """
    metrics = config_of.metrics(recipe.name, recipe.config)
    filters = config_of.filters(recipe.config)
    found = {}
    for chosen in filters:
        pooled = pools_of(chosen)
        for metric in metrics:
            if len(filters) == 1:
                name = metric.name
            else:
                name = chosen if metric is metrics[0] else f"{chosen}+{metric.name}"
            found[name] = {**_graded(recipe, metric, chosen), "pools": pooled}
    return found


def _graded(recipe: Recipe, metric: Metric, chosen: str) -> dict[str, Any]:
    return {
        "score": Grade(recipe, metric, chosen),
        "bounds": metric.bounds,
        "higher_is_better": metric.higher,
        "scorer": identity_of.scorer(recipe.config, metric.name, chosen),
    }


FAMILIES = (
    Family(
        PREFIX,
        "any task, group or tag of lm-eval, or of task files of yours: lm-eval:hellaswag",
        open_,
        open_at,
    ),
)
