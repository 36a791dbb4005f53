"""Rewards: `f(prompt, completion, row) -> float`, one function for every trainer.

`task:<name>` grades with that task's scorer, `file.py:function` with a function of the user's,
`model:<folder>` with a reward model.  A reward that fails says on which row.
"""

from __future__ import annotations

import inspect
import json
import math
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

from evalkit import Prompt, Response, Sample, Stage, Task, plugins
from evalkit.errors import ConfigError, TrainingError
from evalkit.types import REWARD_MODEL

from ._shapes import QUESTION, Row
from .data import AT, TASK, rows, training_samples

Reward: TypeAlias = Callable[[Prompt, str, Row], float]

TRIED = "an answer"  # graded before the run where a row brings no answer of its own


class RewardError(TrainingError):
    """A reward could not be had for one row."""


def load(name: str, paths: Mapping[str, str] | None = None) -> Reward:
    """The reward of that name; `paths` as in `Stage.paths`."""
    if name.startswith(TASK):
        return _task_reward(name, paths or {})
    if name.startswith(REWARD_MODEL):
        return _model_reward(name.removeprefix(REWARD_MODEL))
    return _file_reward(name)


def check(stage: Stage) -> None:
    """Raises ConfigError unless the reward is there and can grade the first row of each source."""
    name = stage.reward
    if not name:
        raise ConfigError("reward: give task:<name>, file.py:function or a reward model's stage")
    if name.startswith(REWARD_MODEL):
        return  # it may be yet to be trained
    reward = load(name, stage.paths)
    for source in stage.data:
        row = next(rows(source, (QUESTION,), stage.paths))
        try:
            with redirect_stdout(sys.stderr):
                graded(reward, name, row["prompt"], _tried(row), row)
        except RewardError as error:
            raise ConfigError(f"reward: {error}") from None


def graded(reward: Reward, name: str, prompt: Prompt, completion: str, row: Row) -> float:
    """The reward of one answer; raises RewardError naming the row where there is none."""
    own = {key: value for key, value in row.items() if key != AT}
    where = f"{name} on the row of {row.get(AT, 'the data')}"
    try:
        value = reward(prompt, completion, own)
    except Exception as error:
        raise RewardError(f"{where}: {type(error).__name__}: {error}") from error
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise RewardError(f"{where} returned {value!r}, where a number is due") from None
    if not math.isfinite(number):
        raise RewardError(f"{where} returned {number}, where a finite number is due")
    return number


def _tried(row: Row) -> str:
    given = row.get("completion", TRIED)
    return given if isinstance(given, str) else str(given[-1]["content"])


def _task_reward(name: str, paths: Mapping[str, str]) -> Reward:
    """Grades the task's own training questions, and rows that carry what its scorer needs."""
    task = plugins.task(name.removeprefix(TASK))
    score = task.score
    if score is None:
        raise ConfigError(f"reward: {name} is graded by a judge; give a task with a scorer")

    @cache
    def known() -> dict[str, Sample]:
        return {sample.id: sample for sample in training_samples(name, paths)}

    def reward(prompt: Prompt, completion: str, row: Row) -> float:
        own = row.get("source") == name
        sample = known()[row["id"]] if own else _sample(task, prompt, row)
        return score(sample, Response(completion)).value

    return reward


def _sample(task: Task, prompt: Prompt, row: Row) -> Sample:
    if "target" not in row:
        raise LookupError(
            f"task:{task.name} grades its own training questions, and rows with a `target`"
        )
    return Sample(
        str(row.get("id", "")),
        prompt,
        row["target"],
        str(row.get("question", "")),
        tuple(row.get("choices") or ()),
        tuple(row.get("tools") or ()),
        metadata=row.get("metadata") or {},
    )


def _file_reward(name: str) -> Reward:
    path, colon, function = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise ConfigError(f"reward: {name!r} is neither task:<name> nor file.py:function")
    if not Path(path).is_file():
        raise ConfigError(f"reward: there is no file {path}")
    try:
        with redirect_stdout(sys.stderr):
            found = runpy.run_path(path).get(function)
    except Exception as error:
        raise ConfigError(
            f"reward: {path} cannot be run: {type(error).__name__}: {error}"
        ) from None
    if not callable(found):
        raise ConfigError(f"reward: {path} has no function {function!r}")
    try:
        inspect.signature(found).bind("prompt", "completion", {})
    except TypeError:
        raise ConfigError(f"reward: {name} has to take prompt, completion and row") from None
    return cast(Reward, found)


def _model_reward(folder: str) -> Reward:
    """The score that a sequence classifier gives to the conversation, one at a time."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    def reward(prompt: Prompt, completion: str, row: Row) -> float:
        if isinstance(prompt, str):
            text = prompt + completion
        else:
            turns = [*prompt, {"role": "assistant", "content": completion}]
            text = tokenizer.apply_chat_template(turns, tokenize=False)
        encoded = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        with torch.no_grad():
            logits = model(encoded["input_ids"].to(model.device)).logits
        return float(logits[0, 0])

    return reward


def for_trl(reward: Reward, name: str) -> Callable[..., list[float]]:
    """The reward as TRL calls it: a batch at a time, each row as JSON in the column `row`."""

    def trl_reward(
        prompts: Sequence[Prompt], completions: Sequence[Any], row: Sequence[str], **_: Any
    ) -> list[float]:
        texts = [done if isinstance(done, str) else done[-1]["content"] for done in completions]
        return [
            graded(reward, name, prompt, text or "", json.loads(line))
            for prompt, text, line in zip(prompts, texts, row, strict=True)
        ]

    trl_reward.__name__ = getattr(reward, "__name__", "reward")
    return trl_reward
