"""A stage's data to rows: files and tasks' training splits, mixed by weight.

The rows of `task:<name>` are the questions of its training split, with their solutions where the
task has them; they carry `source` and `id`, by which a reward finds the question again.  Every
row says under `_at` where it is from, so that whatever is wrong with it can be told.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from evalkit import Prompt, Sample, Stage, Task, plugins
from evalkit.errors import ConfigError, DataError
from evalkit.exams import formats
from evalkit.exams.data import open_rows

from ._shapes import (
    DEMONSTRATION,
    PREFERENCE,
    QUESTION,
    TEXT,
    VERDICT,
    Row,
    Shape,
    shaped,
)

TASK = "task:"
AT = "_at"
ANY: tuple[Shape, ...] = (VERDICT, DEMONSTRATION, PREFERENCE, QUESTION, TEXT)
FIRST = 1  # rows looked at before a run; the others are read when the stage's turn comes


def training_task(source: str) -> Task:
    """The task that `task:<name>` names, which must have a training split."""
    task = plugins.task(source.removeprefix(TASK))
    if task.train is None:
        raise ConfigError(f"{source}: the task has no training split; give a JSONL file instead")
    return task


def training_samples(source: str, paths: Mapping[str, str] | None = None) -> Iterator[Sample]:
    """The training split of `task:<name>`; `paths` are the files given for tasks that read any."""
    task = training_task(source)
    assert task.train is not None
    if task.source is None:
        yield from task.train(lambda _: iter(()))
        return
    given = (paths or {}).get(task.name)
    try:
        yield from task.train(open_rows(task.source, Path(given) if given else None))
    except DataError as error:
        raise ConfigError(f"data: {source}: {error}") from None


def rows(
    source: str, shapes: Sequence[Shape] = ANY, paths: Mapping[str, str] | None = None
) -> Iterator[Row]:
    """The rows of one source; raises ConfigError at the first that fits none of the shapes."""
    if source.startswith(TASK):
        yield from _task_rows(source, shapes, paths)
        return
    try:
        for place, row in formats.read(Path(source)):
            at = f"{source}: {place}"
            yield {**shaped(row, shapes, f"data: {at}"), AT: at}
    except DataError as error:
        raise ConfigError(f"data: {error}") from None


def _task_rows(
    source: str, shapes: Sequence[Shape], paths: Mapping[str, str] | None
) -> Iterator[Row]:
    task = training_task(source)
    if tuple(shapes) == (TEXT,):
        raise ConfigError(f"data: {source}: questions are no running text; give files of `text`")
    if task.solution is None and QUESTION not in shapes:
        raise ConfigError(f"data: {source}: the task knows no solutions; give a JSONL file instead")
    for sample in training_samples(source, paths):
        prompt = sample.rendered()
        row: Row = {"prompt": prompt, "source": source, "id": sample.id}
        row[AT] = f"{source} {sample.id!r}"
        if task.solution is not None:
            answer = task.solution(sample)
            said = [{"role": "assistant", "content": answer}]
            row["completion"] = answer if isinstance(prompt, str) else said
        yield row


def check(
    data: Mapping[str, float], shapes: Sequence[Shape], paths: Mapping[str, str] | None = None
) -> None:
    """Raises ConfigError unless every source is there and its first row fits one of the shapes."""
    if not data:
        raise ConfigError("data: give a JSONL file or task:<name>")
    for source, weight in data.items():
        if weight <= 0:
            raise ConfigError(f"data: the weight of {source} has to be above 0")
        if not source.startswith(TASK) and not Path(source).is_file():
            raise ConfigError(f"data: there is no file {source}")
        if not list(islice(rows(source, shapes, paths), FIRST)):
            raise ConfigError(f"data: {source} holds no rows")


def prompts(stage: Stage, shapes: Sequence[Shape]) -> Iterator[Prompt]:
    """What a stage would learn to answer, row by row, every row of it looked at.

    Raises ConfigError at the first row that will not do.
    """
    for source in stage.data:
        for row in rows(source, shapes, stage.paths):
            yield row.get("prompt") or row["text"]


def mixed(stage: Stage, shapes: Sequence[Shape], count: int = 0) -> list[Row]:
    """So many rows, or as many as the sources hold, drawn from each by its share of the weights.

    A source gives its rows in random order, again from the start when they run out.
    """
    data = stage.data
    loaded = {source: list(rows(source, shapes, stage.paths)) for source in data}
    count = count or sum(map(len, loaded.values()))
    chance = random.Random(stage.seed)
    drawn: list[Row] = []
    for source, held in loaded.items():
        if not held:
            raise ConfigError(f"data: {source} holds no rows")
        share = round(count * data[source] / sum(data.values()))
        while share > 0:
            drawn += chance.sample(held, min(share, len(held)))
            share -= len(held)
    chance.shuffle(drawn)
    return _alike(drawn)


def _alike(rows: list[Row]) -> list[Row]:
    """The rows as conversations if any is one, since a column has one type."""
    if all(isinstance(row.get("prompt", ""), str) for row in rows):
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
