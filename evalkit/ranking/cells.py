"""Battles out of judged cells: every checkpoint's answers against the task's references.

A cell of a judged task holds, per item, the mean of both orders: 1 a win, ½ a tie, 0 a loss; and
the weight of its verdicts, where there are strong ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from evalkit.comparison.comparability import comparability
from evalkit.comparison.scores import scale_of
from evalkit.comparison.sides import Side
from evalkit.errors import DataError, StoreError, UnknownName
from evalkit.grading.grade import without_thoughts
from evalkit.ranking.style import FEATURES, style
from evalkit.reporting.cells import Found
from evalkit.stats.battles import Battle
from evalkit.storage.tables import read_table

REFERENCE = "reference"
BOTH_ORDERS = 2.0
"""The weight of two games without strong verdicts, which details leave out."""


def battles(found: Iterable[Found], task: str, names: Sequence[str]) -> list[Battle]:
    """The battles of these checkpoints on one judged task, each against `REFERENCE`.

    Items of one cluster are one prompt.  A missing judgment is no battle.  Raises UnknownName for
    a checkpoint without such a cell, DataError where the task is not judged in pairs, StoreError
    where two of them sat different exams.
    """
    sides = {
        cell.checkpoint: cell.side
        for cell in found
        if cell.task == task and isinstance(cell.side, Side)
    }
    for name in names:
        if name not in sides:
            raise UnknownName(f"checkpoint that sat {task}", name, sides)
        side = sides[name]
        scale = scale_of(side.cell, side.meta, side.preset)
        if not side.meta["exam"].get("judge") or scale != (0.0, 1.0, True):
            raise DataError(f"{task} is not judged in pairs: it has scores, and no battles")
        differs = comparability(sides[names[0]].meta, side.meta).exam
        if differs:
            raise StoreError(
                f"{name} against {names[0]}: two different exams ({'; '.join(differs)}): "
                "evaluate both alike"
            )
    return [battle for name in names for battle in _of_cell(name, sides[name])]


def judged_tasks(found: Iterable[Found]) -> list[str]:
    """The tasks of which some checkpoint's answers were judged."""
    return list(
        dict.fromkeys(
            cell.task
            for cell in found
            if isinstance(cell.side, Side) and cell.side.meta["exam"].get("judge")
        )
    )


def _of_cell(name: str, side: Side) -> Iterator[Battle]:
    answers = side.cell.answers()
    columns = ["item", "epoch", "value", "target", "cluster", "details"]
    for row in read_table(side.cell.scores_path(side.preset), columns).to_pylist():
        value = row["value"]
        if value is None or not math.isfinite(value):
            continue
        answer = without_thoughts(answers[row["item"], row["epoch"]].response).text
        prompt = row["cluster"] or row["item"].hex()
        noted = _details(row["details"])
        differs = _numbers(noted.get("style"), len(FEATURES)) or style(answer, row["target"])
        (weight,) = _numbers([noted.get("weight")], 1) or (BOTH_ORDERS,)
        yield Battle(prompt, name, REFERENCE, value, max(weight, 0.0) or BOTH_ORDERS, differs)


def _details(text: str) -> dict[str, Any]:
    with suppress(ValueError, TypeError):
        found = json.loads(text)
        return found if isinstance(found, dict) else {}
    return {}


def _numbers(given: Any, count: int) -> tuple[float, ...]:
    """So many numbers as a cell's details hold them; none where they do not."""
    with suppress(ValueError, TypeError):
        found = tuple(map(float, given))
        return found if len(found) == count and all(map(math.isfinite, found)) else ()
    return ()
