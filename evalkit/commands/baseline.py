"""The checkpoint to beat."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, format_option, results_option, say


@click.group()
def baseline() -> None:
    """Register which checkpoint is the one to beat; `baseline: registered` in a CONFIG means it."""


@baseline.command()
@click.argument("name")
@click.option("--why", default="", help="A word on it, kept in the history.")
@results_option
def promote(name: str, why: str, results: Path | None) -> None:
    """Make checkpoint NAME of the results the one to beat, its weights included."""
    from evalkit.series.baseline import promote as to_baseline
    from evalkit.series.baseline import text
    from evalkit.store import Store

    say(text([to_baseline(Store(results or Path(RESULTS)), name, why)]))


@baseline.command()
@results_option
@format_option
def show(results: Path | None, form: str) -> None:
    """Show the baseline and all those before it, the newest first."""
    import json
    from dataclasses import asdict

    from evalkit.errors import StoreError
    from evalkit.series.baseline import history, text

    folder = results or Path(RESULTS)
    found = history(folder)
    if not found:
        raise StoreError(f"no baseline in {folder}: `evalkit baseline promote NAME` registers one")
    told = [asdict(each) for each in reversed(found)]
    say(json.dumps(told, indent=1, ensure_ascii=False) + "\n" if form == "json" else text(found))
