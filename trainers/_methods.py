"""The methods of TRL in one table: what each is called there, and which rows it learns from."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evalkit import Stage

from ._pairs import paired
from ._shapes import DEMONSTRATION, PREFERENCE, QUESTION, TEXT, VERDICT, Row, Shape
from .data import AT


@dataclass(frozen=True)
class Method:
    """How a method is called in TRL, and what its rows must have."""

    trainer: str
    shapes: tuple[Shape, ...]
    rows: Callable[[Stage, list[Row]], list[Row]]  # the columns that TRL is to see, and `_at`
    rewarded: bool = False  # answers of its own, and a reward for each
    scores: bool = False  # makes a reward model

    @property
    def config(self) -> str:
        """The class of its arguments."""
        return f"{self.trainer.removesuffix('Trainer')}Config"


def seen(stage: Stage) -> int:
    """How many rows `max_steps` steps see; 0 where that is not told: epochs, several devices."""
    steps = 0 if stage.accelerate else int(stage.args.get("max_steps", 0))
    batch = int(stage.args.get("per_device_train_batch_size", 8))
    return max(0, steps) * batch * int(stage.args.get("gradient_accumulation_steps", 1))


def _kept(row: Row, columns: Iterable[str]) -> Row:
    """The row cut down to what TRL reads; functions on offer go as text, whose type is one."""
    found = {name: row[name] for name in (*columns, AT) if name in row}
    return found | ({"tools": json.dumps(row["tools"])} if row.get("tools") else {})


def _texts(stage: Stage, rows: list[Row]) -> list[Row]:
    return [_kept(row, ("text",)) for row in rows[: _enough(stage)]]


def _demonstrations(stage: Stage, rows: list[Row]) -> list[Row]:
    taken = [_kept(row, ("prompt", "completion")) for row in rows[: _enough(stage)]]
    if not stage.args.get("assistant_only_loss"):
        return taken
    whole = ("prompt", "completion")  # every answer of the conversation is learned
    return [
        {**{name: row[name] for name in row if name not in whole}, "messages": _talk(row)}
        for row in taken
    ]


def _talk(row: Row) -> list[dict[str, str]]:
    prompt, answer = row["prompt"], row["completion"]
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    return [*prompt, *answer]


def _enough(stage: Stage) -> int | None:
    """TRL tokenizes all that it is given, so it is given no more than it will see."""
    return None if stage.args.get("packing") else seen(stage) or None


def _preferences(stage: Stage, rows: list[Row]) -> list[Row]:
    pairs = paired(stage, rows, seen(stage))
    given = {"margin": 0.0} if any("margin" in row for row in pairs) else {}
    return [_kept({**given, **row}, ("prompt", "chosen", "rejected", *given)) for row in pairs]


def _verdicts(stage: Stage, rows: list[Row]) -> list[Row]:
    """Answers with a verdict each; a pair gives two.

    Shuffled, since KTO takes the answers next to a question for answers to another.
    """
    told = [row for row in rows if "label" in row]
    pairs = paired(stage, [row for row in rows if "label" not in row], seen(stage))
    found = [{**row, "label": bool(row["label"])} for row in told]
    for row in pairs:
        for name, label in (("chosen", True), ("rejected", False)):
            found.append({**row, "completion": row[name], "label": label})
    random.Random(stage.seed).shuffle(found)
    return [_kept(row, ("prompt", "completion", "label")) for row in found]


def _questions(_: Stage, rows: list[Row]) -> list[Row]:
    return [{"prompt": row["prompt"], "row": json.dumps(row), AT: row[AT]} for row in rows]


METHODS = {
    "cpt": Method("SFTTrainer", (TEXT,), _texts),
    "sft": Method("SFTTrainer", (DEMONSTRATION,), _demonstrations),
    "dpo": Method("DPOTrainer", (PREFERENCE,), _preferences),
    "kto": Method("KTOTrainer", (VERDICT, PREFERENCE), _verdicts),
    "reward": Method("RewardTrainer", (PREFERENCE,), _preferences, scores=True),
    "grpo": Method("GRPOTrainer", (QUESTION,), _questions, rewarded=True),
    "rloo": Method("RLOOTrainer", (QUESTION,), _questions, rewarded=True),
}
