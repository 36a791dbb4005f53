"""Rows too long to learn from: TRL leaves them out without a word, so they are looked for here.

Nothing is tokenized for it unless something is amiss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit import Stage
from evalkit.errors import TrainingError

from ._methods import Method
from ._shapes import Row
from .data import AT


def check_lengths(stage: Stage, method: Method, trainer: Any, rows: Sequence[Row]) -> None:
    """Raises TrainingError naming the first row of which nothing would be learned."""
    if method.rewarded:
        _check_window(stage, trainer, rows)
        return
    lost = len(rows) - len(trainer.train_dataset)
    if stage.args.get("packing") or lost <= 0:
        return
    limit = trainer.args.max_length
    row, length = _longest(trainer.processing_class, rows, whole=method.scores)
    if limit is None or length < limit:
        raise TrainingError(f"{stage.name}: nothing is learned from {lost} of {len(rows)} rows")
    until = "" if method.scores else " before an answer could begin"
    raise TrainingError(
        f"{stage.name}: {row[AT]} has {length} tokens{until}, max_length is {limit}: "
        "raise it in args, or remove the row"
    )


def _check_window(stage: Stage, trainer: Any, rows: Sequence[Row]) -> None:
    """A prompt and an answer of full length must fit the model."""
    window = getattr(trainer.model.config, "max_position_embeddings", None)
    if not window:
        return
    room = window - (trainer.args.max_completion_length or 0)
    suspects = [row for row in rows if len(str(row["prompt"]).encode()) >= room]
    for row in suspects:  # a token is a byte at least
        length = len(_encoded(trainer.processing_class, row["prompt"]))
        if length > room:
            raise TrainingError(
                f"{stage.name}: the prompt of {row[AT]} has {length} tokens; the model reads "
                f"{window} and max_completion_length leaves {max(0, room)}: remove the row"
            )


def _longest(tokenizer: Any, rows: Sequence[Row], *, whole: bool) -> tuple[Row, int]:
    names = ("chosen", "rejected") if whole else ("prompt", "text")
    lengths = [
        max(len(_encoded(tokenizer, _read(row, n))) for n in names if n in row) for row in rows
    ]
    longest = max(range(len(rows)), key=lengths.__getitem__)
    return rows[longest], lengths[longest]


def _read(row: Row, name: str) -> Any:
    return row["prompt"] + row[name] if name in ("chosen", "rejected") else row[name]


def _encoded(tokenizer: Any, prompt: Any) -> list[int]:
    if not isinstance(prompt, str):
        prompt = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        return list(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    return list(tokenizer(prompt)["input_ids"])
