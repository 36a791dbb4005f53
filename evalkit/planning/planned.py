"""How much an item's score differs between two checkpoints, before any was asked."""

from __future__ import annotations

from collections.abc import Mapping

from evalkit.types import Task

PLANNED: Mapping[str, Mapping[int, float]] = {
    "mmlu-pro": {1: 0.45},
    "bfcl": {1: 0.33},
    "livecodebench": {1: 0.38},
    "alpacaeval": {1: 0.40},
    "ifeval": {1: 0.39, 4: 0.28},
    "arena-hard": {1: 0.40},
    "gpqa": {1: 0.50, 8: 0.30},
    "mt-bench": {1: 0.19},
    "aime": {1: 0.50, 16: 0.22},
    "": {1: 0.45},
}
"""Standard deviation of an item's difference by family of tasks and answers per item.

MMLU-Pro's is measured between base models and their instruct versions (a fifth to a quarter of the
answers change); the others are assumptions, until the first two checkpoints have been asked.
"""


def planned(task: Task) -> tuple[float, str]:
    """The standard deviation of an item's difference, and what it is the figure of."""
    family = next(name for name in PLANNED if task.name.startswith(name))
    figures = PLANNED[family]
    k = max((k for k in figures if k <= task.epochs), default=min(figures))
    return figures[k], f"{family}, k = {k}" if family else "any task of one answer per item"
