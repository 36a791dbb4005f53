"""Battles out of judged cells: every checkpoint's answers against the task's references.

A cell of a judged task holds, per item, the mean of both orders: 1 a win, ½ a tie, 0 a loss.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from evalkit.comparison.comparability import comparability
from evalkit.comparison.scores import scale_of
from evalkit.comparison.sides import Side
from evalkit.errors import DataError, StoreError, UnknownName
from evalkit.grade import without_thoughts
from evalkit.ranking.style import style
from evalkit.report import Found
from evalkit.stats.battles import Battle
from evalkit.tables import read_table

REFERENCE = "reference"


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
    columns = ["item", "epoch", "value", "target", "cluster"]
    for row in read_table(side.cell.scores_path(side.preset), columns).to_pylist():
        value = row["value"]
        if value is None or not math.isfinite(value):
            continue
        answer = without_thoughts(answers[row["item"], row["epoch"]].response).text
        prompt = row["cluster"] or row["item"].hex()
        yield Battle(prompt, name, REFERENCE, value, style=style(answer, row["target"]))
