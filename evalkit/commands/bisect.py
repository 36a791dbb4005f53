"""The checkpoint that did it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.commands._shared import (
    config_argument,
    format_option,
    limit_option,
    matrix_of,
    results_option,
    say,
)


@click.command()
@config_argument
@click.option("--from", "start", default="", help="The good end.  [default: the baseline]")
@click.option("--to", "end", default="", help="The far end.  [default: the last of the file]")
@click.option(
    "--first-look",
    type=click.IntRange(min=2),
    default=100,
    show_default=True,
    help="Items of each task that a test begins with; doubled while it is inconclusive.",
)
@results_option
@limit_option
@format_option
def bisect(
    config: Path,
    start: str,
    end: str,
    first_look: int,
    results: Path | None,
    limit: int | None,
    form: str,
) -> None:
    """Find the first checkpoint of a chain of CONFIG that is worse than its good end by more than
    the margin, asking few checkpoints and items.

    Exits 1 where one is, 0 where none is, 3 where that stays open, 4 where it is invalid.
    """
    from evalkit.series.bisection import text
    from evalkit.series.chain import chain
    from evalkit.series.culprit import search
    from evalkit.terminal.progress import progress

    matrix, folder = matrix_of(config, results, limit)
    between = chain(matrix, start, end)
    with progress() as notify:
        found = search(matrix, between, folder, notify, start=first_look)
    say(found.model_dump_json(indent=1) + "\n" if form == "json" else text(found))
    sys.exit(found.exit_code)
