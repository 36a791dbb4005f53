"""Rewards that code can verify: `f(prompt, completion, row) -> float`.

`task:<name>` grades with that task's scorer; `file.py:function` with a function of the user's.
"""

from __future__ import annotations

import inspect
import json
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from evalkit import Prompt, Response
from evalkit.errors import ConfigError

from .data import TASK, Row, training_samples, training_task

Reward: TypeAlias = Callable[[Prompt, str, Row], float]


def load(name: str) -> Reward:
    """The reward that goes by `task:<name>` or `file.py:function`."""
    return _task_reward(name) if name.startswith(TASK) else _file_reward(name)


def check(name: str, data: Mapping[str, float]) -> None:
    """Raises ConfigError unless the reward is there and can grade rows of these sources."""
    if not name:
        raise ConfigError("reward: give task:<name> or file.py:function")
    if not name.startswith(TASK):
        _split(name)
        return
    if training_task(name).score is None:
        raise ConfigError(f"reward: {name} is graded by a judge; give a task with a scorer")
    others = [source for source in data if source != name]
    if others:
        raise ConfigError(f"reward: {name} grades its own questions only, not {others[0]}")


def _task_reward(name: str) -> Reward:
    score = training_task(name).score
    samples = {sample.id: sample for sample in training_samples(name)}

    def reward(_: Prompt, completion: str, row: Row) -> float:
        assert score is not None
        return score(samples[row["id"]], Response(completion)).value

    return reward


def _split(name: str) -> tuple[Path, str]:
    path, colon, function = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ConfigError(f"reward: {name!r} is neither task:<name> nor file.py:function")
    if not Path(path).is_file():
        raise ConfigError(f"reward: there is no file {path}")
    return Path(path), function


def _file_reward(name: str) -> Reward:
    path, function = _split(name)
    found = runpy.run_path(str(path)).get(function)
    if not callable(found):
        raise ConfigError(f"reward: {path} has no function {function!r}")
    if len(inspect.signature(found).parameters) != 3:
        raise ConfigError(f"reward: {name} has to take prompt, completion and row")
    return cast(Reward, found)


def for_trl(reward: Reward) -> Callable[..., list[float]]:
    """The reward as TRL calls it: a batch at a time, each row as JSON in the column `row`."""

    def trl_reward(
        prompts: Sequence[Prompt], completions: Sequence[Any], row: Sequence[str], **_: Any
    ) -> list[float]:
        texts = [done if isinstance(done, str) else done[-1]["content"] for done in completions]
        return [
            float(reward(prompt, text, json.loads(line)))
            for prompt, text, line in zip(prompts, texts, row, strict=True)
        ]

    trl_reward.__name__ = getattr(reward, "__name__", "reward")
    return trl_reward
