"""A headline that is fitted rather than averaged: refitted on resamples of prompts.

`cell.json` says that a task has one; what it is, is the task's own `refit`, found by name.  Where
that is not there, or is of another version, the mean over items stands in, and is flagged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit import plugins
from evalkit.comparison.arm import Arm, Floats, item_means
from evalkit.comparison.comparability import exam_of
from evalkit.comparison.paired import Pair, Variant, clusters_of, samples
from evalkit.comparison.sides import Side, Sides, cells_of
from evalkit.errors import EvalkitError
from evalkit.stats.cell import Estimate
from evalkit.stats.designs import bootstrap, seeds
from evalkit.storage.tables import read_table

FLAG, ABSENT = "fitted", "not_refitted"
COLUMNS = ["item", "id", "epoch", "stratum", "details"]

Row: TypeAlias = Mapping[str, Any]
Difference: TypeAlias = Callable[[NDArray[np.intp]], float]
Refit: TypeAlias = Callable[[Sequence[Row], Sequence[Row]], Difference]


class RefitFailed(Exception):
    """A task's refit raised an error, or gave what is no difference of two scores."""


def wanted(meta: Mapping[str, Any]) -> bool:
    """Whether a cell's headline is fitted."""
    return bool(exam_of(meta).get("fitted"))


def refit_of(meta: Mapping[str, Any]) -> Refit | None:
    """The task's refit by its name; None where it is not there, or not of that version."""
    exam = exam_of(meta)
    with suppress(EvalkitError):
        task = plugins.task(str(exam.get("task", "")), str(exam.get("preset", "")))
        return task.refit if task.version == exam.get("version") else None
    return None


def estimate(pair: Pair, refit: Refit, sides: Sides, variant: Variant, conf: float) -> Estimate:
    """The difference with its bootstrap interval over prompts; over training seeds, their mean.

    Raises RefitFailed.
    """
    if sides.baseline is None or sides.candidate is None:
        raise RefitFailed("nothing to refit")
    before, after, taking = samples(pair, variant)
    cells = cells_of(sides.baseline), cells_of(sides.candidate)
    arms = [
        _rows(own, arm, values, taking)
        for own, arm, values in zip(
            cells, (pair.baseline, pair.candidate), (before, after), strict=True
        )
    ]
    olds = arms[0] * len(arms[1]) if len(arms[0]) == 1 else arms[0]
    each = [_guarded(refit, old, new) for old, new in zip(olds, arms[1], strict=True)]
    prompts = _prompts(pair, taking)

    def refitted(drawn: NDArray[np.intp]) -> float:
        items = np.concatenate([prompts[number] for number in drawn])
        return math.fsum(one(items) for one in each) / len(each)

    found = bootstrap(refitted, len(prompts), conf=conf)
    if len(each) == 1:
        return found
    whole = np.arange(np.count_nonzero(taking))
    return seeds([one(whole) for one in each], found.se, found.n, conf)


def _prompts(pair: Pair, taking: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The items of each prompt: all games of a prompt are drawn together."""
    clusters = clusters_of(pair.baseline, pair.candidate)
    count = np.count_nonzero(taking)
    if clusters is None:
        return list(np.arange(count).reshape(-1, 1))
    labels = np.unique(clusters[taking], return_inverse=True)[1]
    return np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])


def _guarded(refit: Refit, before: Sequence[Row], after: Sequence[Row]) -> Difference:
    """The task's own function, whatever it does: it is a plugin."""

    def told(error: Exception) -> RefitFailed:
        return RefitFailed(f"its refit failed: {type(error).__name__}: {error}"[:200])

    try:
        difference = refit(before, after)
    except Exception as error:
        raise told(error) from None

    def checked(items: NDArray[np.intp]) -> float:
        try:
            found = float(difference(items))
        except Exception as error:
            raise told(error) from None
        if not -1 <= found <= 1:  # nor is it where it is not a number
            raise RefitFailed(f"its refit gave {found}, which is no difference of two shares")
        return found

    return checked


def _rows(
    cells: Sequence[Side], arm: Arm, values: Floats, taking: NDArray[np.bool_]
) -> list[list[Row]]:
    """Every cell's rows, item by item: of a recipe one list a seed."""
    low, high, higher = arm.native
    native = low + (high - low) * (values if higher else 1 - values)
    parts = np.split(native, len(cells), axis=1)
    items = arm.items[taking]
    return [_of_cell(side, items, part[taking]) for side, part in zip(cells, parts, strict=True)]


def _of_cell(side: Side, items: NDArray[np.bytes_], values: Floats) -> list[Row]:
    noted: dict[tuple[bytes, int], dict[str, Any]] = {
        (row["item"], row["epoch"]): row
        for row in read_table(side.cell.scores_path(side.preset), COLUMNS).to_pylist()
    }
    rows: list[Row] = []
    for item, own, mean in zip(items, values, item_means(values), strict=True):
        key = bytes(item).ljust(16, b"\0")  # numpy takes trailing zeros for padding
        found = [noted.get((key, epoch), {}) for epoch in range(len(own))]
        details = [_details(each.get("details")) for each in found]
        rows.append(
            {
                "id": next((each["id"] for each in found if each), ""),
                "stratum": next((each["stratum"] for each in found if each), ""),
                "value": float(mean),
                "details": details[0],
                "samples": [
                    {"value": float(value), "details": each}
                    for value, each in zip(own, details, strict=True)
                ],
            }
        )
    return rows


def _details(text: str | None) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(text or "{}")
        return found if isinstance(found, dict) else {}
    return {}
