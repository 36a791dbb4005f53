"""The reward as OpenRLHF calls it: `reward_func(queries, prompts, labels)`, texts in lists.

A query is the prompt and its answer in one text, special tokens and all; the label is the row
of the data as JSON.  OpenRLHF swallows what a reward raises and goes on without one, so a reward
that cannot be had ends the process.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

if str(Path(__file__).resolve().parent) not in sys.path:  # OpenRLHF loads this file by its path
    sys.path.insert(0, str(Path(__file__).resolve().parent))

from evalkit_reward import RewardError, score, without_specials

TAIL = 64  # characters by which a prompt that was cut short at its beginning is found


def reward_func(queries: Any, prompts: Any, labels: Any, **_: Any) -> dict[str, Any]:
    """The rewards of a batch, as tensors."""
    import torch

    try:
        values = [
            _graded(query, prompt, json.loads(label))
            for query, prompt, label in zip(queries, prompts, labels, strict=True)
        ]
    except RewardError as error:
        print(f"evalkit: {error}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)
    rewards = torch.tensor(values)
    return {"rewards": rewards, "scores": rewards, "extra_logs": {}}


def _graded(query: str, prompt: str, row: dict[str, Any]) -> float:
    start = prompt if query.startswith(prompt) else prompt[-TAIL:]
    answer = query.partition(start)[2]
    return float(score(row["prompt"], without_specials(answer), row))
