"""A stage's data to rows: JSONL files and tasks' training splits, mixed by weight.

A row is one of `{prompt, completion}`, `{messages}`, `{prompt, chosen, rejected}`, `{prompt}`.
The rows of `task:<name>` are the questions of its training split with their solutions; they
also carry `source` and `id`, by which a reward finds the question again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from evalkit import Sample, Task, plugins
from evalkit.errors import ConfigError

Row: TypeAlias = dict[str, Any]

TASK = "task:"
SHAPES = (("prompt", "completion"), ("messages",), ("prompt", "chosen", "rejected"), ("prompt",))


def training_task(source: str) -> Task:
    """The task that `task:<name>` names, which must be able to train."""
    task = plugins.task(source.removeprefix(TASK))
    if task.train is None or task.solution is None:
        raise ConfigError(f"{source}: the task has no training split; give a JSONL file instead")
    if task.source is not None:
        raise ConfigError(f"{source}: the task reads a file; give the training rows as JSONL")
    return task


def training_samples(source: str) -> Iterator[Sample]:
    """The training split of `task:<name>`."""
    task = training_task(source)
    assert task.train is not None
    return iter(task.train(lambda _: iter(())))


def _task_rows(source: str) -> Iterator[Row]:
    task = training_task(source)
    assert task.solution is not None
    for sample in training_samples(source):
        prompt, answer = sample.rendered(), task.solution(sample)
        said = [{"role": "assistant", "content": answer}]
        completion = answer if isinstance(prompt, str) else said
        yield {"prompt": prompt, "completion": completion, "source": source, "id": sample.id}


def _file_rows(path: str, columns: tuple[str, ...]) -> Iterator[Row]:
    with Path(path).open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                row = _checked(line, f"{path}:{number}")
                missing = [column for column in columns if column not in row]
                if missing:
                    raise ConfigError(f"{path}:{number}: the row has no {missing[0]!r}")
                yield row


def _checked(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where}: not JSON: {error}") from None
    if not isinstance(row, dict) or not any(row.keys() >= set(shape) for shape in SHAPES):
        wanted = " or ".join("/".join(shape) for shape in SHAPES)
        raise ConfigError(f"{where}: a row has to have {wanted}")
    if "messages" in row and "completion" not in row:
        *prompt, last = row.pop("messages") or [{}]
        if last.get("role") != "assistant" or not prompt:
            raise ConfigError(f"{where}: messages have to end with an answer of the assistant")
        row |= {"prompt": prompt, "completion": [last]}  # so that only the answer is learned
    return row


def read(source: str, columns: tuple[str, ...] = ()) -> Iterator[Row]:
    """The rows of one source, one at a time; those of a file must have these columns."""
    return _task_rows(source) if source.startswith(TASK) else _file_rows(source, columns)


def load(source: str, columns: tuple[str, ...] = ()) -> list[Row]:
    """All rows of one source; those of a file must have these columns."""
    return list(read(source, columns))


def check(data: Mapping[str, float], columns: tuple[str, ...]) -> None:
    """Raises ConfigError unless every source is there and its first row has these columns."""
    if not data:
        raise ConfigError("data: give a JSONL file or task:<name>")
    for source, weight in data.items():
        if weight <= 0:
            raise ConfigError(f"data: the weight of {source} has to be above 0")
        if source.startswith(TASK):
            training_task(source)
        elif not Path(source).is_file():
            raise ConfigError(f"data: there is no file {source}")
        elif next(_file_rows(source, columns), None) is None:
            raise ConfigError(f"data: {source} holds no rows")


def mixed(
    data: Mapping[str, float], seed: int, columns: tuple[str, ...] = (), count: int = 0
) -> list[Row]:
    """So many rows, or as many as the sources hold, drawn from each by its share of the weights.

    A source gives its rows in random order, again from the start when they run out.
    """
    loaded = {source: load(source, columns) for source in data}
    count = count or sum(map(len, loaded.values()))
    chance = random.Random(seed)
    drawn: list[Row] = []
    for source, rows in loaded.items():
        share = round(count * data[source] / sum(data.values()))
        while share > 0:
            drawn += chance.sample(rows, min(share, len(rows)))
            share -= len(rows)
    chance.shuffle(drawn)
    return _alike(drawn)


def _alike(rows: list[Row]) -> list[Row]:
    """The rows as conversations if any is one, since a column has one type."""
    if all(isinstance(row["prompt"], str) for row in rows):
        return rows
    roles = {"prompt": "user", "completion": "assistant", "chosen": "assistant"}
    roles["rejected"] = "assistant"
    return [
        {
            key: [{"role": roles[key], "content": value}]
            if key in roles and isinstance(value, str)
            else value
            for key, value in row.items()
        }
        for row in rows
    ]
