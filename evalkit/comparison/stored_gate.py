"""A gate over cells that the results hold already, whoever made them.

The checkpoints and tasks that a config names are looked up in the results by those names, so that
imported ones are judged as any other; nothing need be a plugin here, and nothing is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from evalkit.comparison.gating import policy_of
from evalkit.comparison.refusal import refuse
from evalkit.configuration.config import Loaded
from evalkit.errors import did_you_mean
from evalkit.exams.exam import Exam
from evalkit.reporting.assembly import assemble
from evalkit.reporting.cells import Found, stored
from evalkit.storage.store import Store
from evalkit.types import Rows, Sample, Task
from evalkit.verdict import Report


def stored_report(loaded: Loaded, results: Path) -> Report:
    """The verdict on a config's checkpoints over its tasks, as the results hold them.

    Raises ConfigError pointing at the name that the results do not have.
    """
    config = loaded.config
    found = list(stored(Store(results)))
    names = [section.name for section in config.checkpoints]
    _check(loaded, "checkpoints", names, {cell.checkpoint for cell in found}, results)
    labels = [section.label for section in config.tasks]
    _check(loaded, "tasks", labels, {cell.task for cell in found}, results)
    if config.baseline not in names:
        hint = did_you_mean(config.baseline, names)
        raise loaded.error(("baseline",), f"no checkpoint goes by {config.baseline!r}{hint}")
    known = {cell.task: cell for cell in found}
    exams = tuple(Exam(_judged_only(known[section.label]), section) for section in config.tasks)
    chosen = {
        (cell.checkpoint, cell.task): cell
        for cell in found
        if cell.checkpoint in names and cell.task in labels
    }
    cells = [
        chosen.get((name, label), replace(known[label], checkpoint=name, side=None))
        for name in names
        for label in labels
    ]
    pairs = [(name, config.baseline) for name in names if name != config.baseline]
    policy = policy_of(loaded, exams)
    report = assemble(config.baseline, pairs, cells, policy)
    refuse(report, policy, loaded)
    return report


def _check(loaded: Loaded, key: str, names: list[str], there: set[str], results: Path) -> None:
    for index, name in enumerate(names):
        if name not in there:
            hint = did_you_mean(name, there)
            raise loaded.error((key, index), f"{results} has no cells of {name!r}{hint}")


def _judged_only(cell: Found) -> Task:
    """A task of which only its name, domain, scale and whole are known: enough to judge it."""
    return Task(cell.task, cell.domain, 1, _no_samples, bounds=_scale(cell), part_of=cell.part_of)


def _scale(cell: Found) -> tuple[float, float]:
    low, high = (cell.side.meta if cell.side else {}).get("bounds", (0.0, 1.0))
    return float(low), float(high)


def _no_samples(rows: Rows) -> Iterator[Sample]:
    yield from ()
