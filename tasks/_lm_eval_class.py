"""Tasks of lm-eval that are written as Python classes: what they say of themselves, and made.

Such a class is asked about its metrics when the task is opened, so that lm-eval is imported then;
its documents are read, as of any other task, when they are wanted.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from evalkit.errors import ConfigError, DataError
from evalkit.types import Sampling

from . import _lm_eval_config as config_of
from ._lm_eval_files import Function

NOT_A_TASK = "names a class that is no ConfigurableTask, which only lm-eval itself can ask"
UNTOLD = (
    "is written as a Python class that tells its metrics only with its data at hand, "
    "which only lm-eval itself can ask"
)

FILE = "file"
"""Under this key is what the task's file itself says, which is what its class is made with."""


def told(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a task file with what its class says, if it names one.

    Raises ConfigError where the class cannot be asked as others are.
    """
    written = config.get("class")
    if written is None:
        return dict(config)
    made = _class(name, written)
    try:
        blank = made.__new__(made)
        aggregated, higher = blank.aggregation(), blank.higher_is_better()
        split = "test" if blank.has_test_docs() else "validation"
    except Exception:
        raise ConfigError(f"lm-eval:{name} {UNTOLD}") from None
    metrics = [
        {"metric": each, "aggregation": written, "higher_is_better": bool(higher.get(each, True))}
        for each in aggregated
    ]
    return {
        **config,
        "output_type": "generate_until",
        "dataset_path": config.get("dataset_path") or made.DATASET_PATH,
        "dataset_name": config.get("dataset_name") or made.DATASET_NAME,
        f"{split}_split": split,
        "metric_list": metrics,
        "process_results": written,
        FILE: dict(config),
    }


def _class(name: str, written: Any) -> Any:
    if not isinstance(written, Function):
        raise ConfigError(f"lm-eval:{name} {NOT_A_TASK}: write `class: !function module.Class`")
    try:
        from lm_eval.api.task import ConfigurableTask

        found = written.imported()
    except Exception as error:  # of a module of the task's own
        raise ConfigError(f"lm-eval:{name}: {written.spec}: {error}") from None
    if not (inspect.isclass(found) and issubclass(found, ConfigurableTask)):
        raise ConfigError(f"lm-eval:{name} {NOT_A_TASK}")
    return found


def made(config: Mapping[str, Any]) -> Any:
    """The task as lm-eval makes it; raises DataError where it asks otherwise than by one text."""
    given = config.get("custom_dataset")
    found = _on(config["class"], given) if given else config["class"]
    named = "config" in inspect.signature(found.__init__).parameters
    task = found(config=dict(config[FILE])) if named else found()
    task.config.task = config["task"]
    asked = task.construct_requests(doc=task.task_docs[0], ctx="", metadata=("", 0, 1))
    kinds = [each.request_type for each in (asked if isinstance(asked, list) else [asked])]
    if kinds != ["generate_until"]:
        raise DataError(
            f"lm-eval:{config['task']} is written as a Python class that asks "
            f"{' and '.join(kinds)} about one document, which only lm-eval itself can ask"
        )
    return task


def _on(found: Any, given: Any) -> Any:
    """The class, reading documents that are given in the place of its own."""

    def download(self: Any, *_: Any, **__: Any) -> None:
        self.dataset = given()

    return type(found.__name__, (found,), {"download": download})


def sampling(name: str, config: Mapping[str, Any], asked: Any, in_force: Sampling) -> Sampling:
    """How a class has its answers drawn: as it says in a request, but for what the run changed."""
    before, own = (
        config_of.sampling(name, each) for each in (config, {**config, "generation_kwargs": asked})
    )
    changed = {
        each.name: getattr(in_force, each.name)
        for each in fields(Sampling)
        if getattr(in_force, each.name) != getattr(before, each.name)
    }
    return replace(own, **changed)
