"""A checkpoint's cells as the writers of other formats take them: one value for each task."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from evalkit.comparison.sides import Side
from evalkit.errors import StoreError
from evalkit.reporting.cells import stored
from evalkit.storage.store import Answer, Cell, Store
from evalkit.storage.tables import SCORE_COLUMNS, read_table
from evalkit.types import Response


@dataclass(frozen=True, slots=True)
class Graded:
    """One sample with its answer and its grade; a value that is NaN is missing."""

    item: bytes
    id: str
    epoch: int
    value: float
    answer: str | None
    target: str
    outcome: str
    stratum: str
    question: str
    response: Response


@dataclass(frozen=True, slots=True)
class Exported:
    """One task sat by one checkpoint."""

    checkpoint: str
    task: str  # with its preset, if any
    meta: Mapping[str, Any]  # what `cell.json` says
    exam: Mapping[str, Any]
    samples: Sequence[Graded]

    @property
    def bounds(self) -> tuple[float, float]:
        """The scale of the scores."""
        low, high = self.meta.get("bounds", (0.0, 1.0))
        return float(low), float(high)

    @property
    def higher_is_better(self) -> bool:
        """Whether the upper end of the scale is the good one."""
        return bool(self.meta.get("higher_is_better", True))

    @property
    def metric(self) -> str:
        """The name of what was measured."""
        named = self.exam.get("metric")
        return str(named) if named else "acc" if self.binary else "score"

    @property
    def binary(self) -> bool:
        """Whether every score is 0 or 1."""
        return all(each.value in (0.0, 1.0) or math.isnan(each.value) for each in self.samples)

    def items(self) -> dict[bytes, list[Graded]]:
        """The samples of each item, by epoch."""
        found: dict[bytes, list[Graded]] = defaultdict(list)
        for each in sorted(self.samples, key=lambda each: (each.item, each.epoch)):
            found[each.item].append(each)
        return found

    @property
    def weights(self) -> Mapping[str, float]:
        """What each stratum counts, where they do not count by their items."""
        found = self.exam.get("weights") or {}
        return {name: float(weight) for name, weight in found.items() if weight > 0}

    def mean(self) -> tuple[float, float | None, int]:
        """Mean over items, its standard error s/√n where there are two, and n."""
        if not self.samples:
            whole = self.meta["aggregate"]
            return float(whole["score"]), whole["stderr"], int(whole["n"])
        means = [mean for _, mean in self._means()]
        if not means:
            raise StoreError(f"{self.task}: {self.checkpoint} answered nothing there")
        return fmean(means), _error(means) if len(means) > 1 else None, len(means)

    def score(self) -> tuple[float, float | None, int]:
        """The headline: the mean over items, or over strata by their weights, √ΣW²s²/n."""
        whole = self.mean()
        if not self.weights or not self.samples:
            return whole
        parts = defaultdict[str, list[float]](list)
        for stratum, mean in self._means():
            parts[stratum].append(mean)
        if any(len(parts[name]) < 2 for name in self.weights):
            raise StoreError(f"{self.task}: {self.checkpoint} lacks a stratum that counts there")
        total = sum(self.weights.values())
        shares = {name: weight / total for name, weight in self.weights.items()}
        score = sum(share * fmean(parts[name]) for name, share in shares.items())
        errors = (w * _error(parts[name]) for name, w in shares.items())
        return score, math.hypot(*errors), whole[2]

    def _means(self) -> list[tuple[str, float]]:
        """The stratum of each item that has a score, and the mean of its samples."""
        return [
            (rows[0].stratum, fmean(known))
            for rows in self.items().values()
            if (known := [each.value for each in rows if math.isfinite(each.value)])
        ]


def _error(values: Sequence[float]) -> float:
    return stdev(values) / math.sqrt(len(values))


def exported(store: Store, checkpoint: str) -> list[Exported]:
    """Every task of a checkpoint; raises StoreError naming whom the store has when it is not one.

    Of several cells of one task the one used last counts, as for `evalkit compare`.
    """
    found = list(stored(store))
    mine = {cell.task: cell for cell in found if cell.checkpoint == checkpoint}
    if not mine:
        known = ", ".join(sorted({cell.checkpoint for cell in found})) or "nothing"
        raise StoreError(f"no cells of {checkpoint!r} in {store.root}; there are: {known}")
    return [
        Exported(checkpoint, task, side.meta, side.meta["exam"], _graded(side.cell, side.preset))
        for task, cell in sorted(mine.items())
        if isinstance(side := cell.side, Side)
    ]


def _graded(cell: Cell, preset: str) -> list[Graded]:
    if not cell.scores_path(preset).exists():
        return []
    answers = cell.answers()
    empty = Answer(b"", "", 0, b"", "", Response(error="not answered"))
    rows = read_table(cell.scores_path(preset), list(SCORE_COLUMNS)).to_pylist()
    found = []
    for row in rows:
        answer = answers.get((row["item"], row["epoch"]), empty)
        graded = {name: row[name] for name in SCORE_COLUMNS if name in Graded.__slots__}
        found.append(Graded(**graded, question=answer.question, response=answer.response))
    return found


def file_name(name: str) -> str:
    """A name as one part of a path."""
    from evalkit.storage.store import safe

    return safe(name.replace("/", "__"))
