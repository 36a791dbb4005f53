"""How much a checkpoint's score moves when nothing was changed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.commands._shared import config_argument, limit_option, matrix_of, results_option, say


@click.command()
@config_argument
@click.argument("checkpoint", required=False)
@results_option
@limit_option
def noise(config: Path, checkpoint: str | None, results: Path | None, limit: int | None) -> None:
    """Ask CHECKPOINT of CONFIG again, by default the baseline, and tell how often it agrees.

    Where its cells have several answers per item already, nothing is asked.  What is found is kept
    in the cells, and reports print it.
    """
    from evalkit.planning.noise import noise as measured
    from evalkit.planning.repeats import words
    from evalkit.reporting.reading import printable
    from evalkit.terminal.progress import progress

    matrix, folder = matrix_of(config, results, None)
    with progress() as notify:
        notes = measured(matrix, checkpoint or matrix.baseline, folder, notify, limit)
    say("".join(f"{printable(words(note))}\n" for note in notes))
    sys.exit(0 if all(note.n for note in notes) else 4)
