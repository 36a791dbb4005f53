"""Checkpoints that the results hold, side by side."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, measured, rendered, results_option, say


@click.command()
@click.argument("baseline")
@click.argument("candidates", nargs=-1, required=True)
@results_option
def compare(baseline: str, candidates: tuple[str, ...], results: Path | None) -> None:
    """Compare checkpoints that the results hold already, each against BASELINE."""
    from evalkit import report as reporting
    from evalkit.errors import ConfigError
    from evalkit.policy import Policy
    from evalkit.store import Store

    if baseline in candidates:
        raise ConfigError(f"{baseline} is the baseline: name others to hold against it")
    store = Store(results or Path(RESULTS))
    found = reporting.of_store(store, [baseline, *candidates], Policy())
    say(rendered("terminal", found))
    sys.exit(0 if measured(found) else 4)
