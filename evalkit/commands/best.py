"""Which of several checkpoints to take."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, format_option, results_option, say


@click.command()
@click.argument("checkpoints", nargs=-1, required=True)
@click.option("--baseline", default="", help="Gains count from here.  [default: the first]")
@click.option("--target", default="", help="The domain or task to gain in.  [default: all]")
@results_option
@format_option
def best(
    checkpoints: tuple[str, ...], baseline: str, target: str, results: Path | None, form: str
) -> None:
    """Choose the best of CHECKPOINTS by half of the items and report it by the other half.

    With the Pareto front of what the target gains against what the worst other domain loses.
    Exits 4 where a task could not be measured, else 0.
    """
    from evalkit.commands._best_table import table
    from evalkit.errors import UnknownName
    from evalkit.series.assembly import of_store
    from evalkit.series.best import best as choose
    from evalkit.storage.store import Store

    series = of_store(Store(results or Path(RESULTS)), checkpoints)
    if baseline and baseline not in checkpoints:
        raise UnknownName("baseline among the checkpoints named", baseline, checkpoints)
    found = choose(series, baseline or checkpoints[0], target)
    say(found.model_dump_json(indent=1) + "\n" if form == "json" else table(found))
    sys.exit(4 if found.invalid else 0)
