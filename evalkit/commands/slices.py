"""Where a difference comes from."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, format_option, results_option, say


@click.command()
@click.argument("baseline")
@click.argument("candidate")
@click.option("--task", default="", help="Only this task.  [default: all that both sat]")
@results_option
@format_option
def slices(baseline: str, candidate: str, task: str, results: Path | None, form: str) -> None:
    """Compare CANDIDATE with BASELINE subject by subject: every stratum of every task.

    Explores, decides nothing: q-values are adjusted for the share of false discoveries.  Exits 4
    where a task could not be measured, else 0.
    """
    from evalkit.comparison.sides import Side
    from evalkit.comparison.slices import slices as of_pair
    from evalkit.comparison.slices import text
    from evalkit.errors import UnknownName
    from evalkit.reporting.cells import stored
    from evalkit.storage.store import Store

    folder = results or Path(RESULTS)
    cells = {(cell.checkpoint, cell.task): cell.side for cell in stored(Store(folder))}
    for name in (baseline, candidate):
        known = {checkpoint for checkpoint, _ in cells}
        if name not in known:
            raise UnknownName(f"checkpoint of {folder}", name, known)
    tasks = [own for checkpoint, own in cells if checkpoint == baseline]
    if task and task not in tasks:
        raise UnknownName(f"task that {baseline} sat", task, tasks)
    rows = []
    for own in [task] if task else tasks:
        pair = [cells.get((name, own)) for name in (baseline, candidate)]
        before, after = (side if isinstance(side, Side) else None for side in pair)
        rows.append((own, before, after))
    found = of_pair((baseline, candidate), rows)
    say(found.model_dump_json(indent=1) + "\n" if form == "json" else text(found))
    sys.exit(4 if found.invalid else 0)
