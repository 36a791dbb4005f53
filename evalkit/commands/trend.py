"""A series of checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, format_option, results_option, say


@click.command()
@click.argument("checkpoints", nargs=-1, required=True)
@results_option
@format_option
def trend(checkpoints: tuple[str, ...], results: Path | None, form: str) -> None:
    """Show where a series of CHECKPOINTS, in the order of training, changed or first declined.

    Annotates, never gates: exits 4 where a task could not be measured, else 0.
    """
    from evalkit.series.assembly import of_store
    from evalkit.series.trend import text
    from evalkit.series.trend import trend as of_series
    from evalkit.storage.store import Store

    found = of_series(of_store(Store(results or Path(RESULTS)), checkpoints))
    say(found.model_dump_json(indent=1) + "\n" if form == "json" else text(found))
    sys.exit(0 if found.measured else 4)
