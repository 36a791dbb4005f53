"""A cell, a sample, or what was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from evalkit.commands._shared import RESULTS, canvas, one_line, results_option, say

SOME = 3  # samples, where nobody says how many
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def some(name: str, told: str) -> Decorator:
    """An option that takes a number, or stands alone."""
    number = click.IntRange(min=1)
    return click.option(name, type=number, is_flag=False, flag_value=SOME, default=None, help=told)


@click.command()
@click.argument("cell")
@click.argument("sample", required=False)
@click.option(
    "--against",
    metavar="CELL",
    help="Another cell of the task; of SAMPLE, show both side by side, else list what was lost.",
)
@some("--lost", f"Show so many of the samples lost, the most telling.  [{SOME} without a number]")
@some("--gained", "Likewise of those gained.")
@results_option
def show(
    cell: str,
    sample: str | None,
    against: str | None,
    lost: int | None,
    gained: int | None,
    results: Path | None,
) -> None:
    """Show CELL of the results, or one SAMPLE of it; with --against, beside another cell.

    CELL is a folder, or TASK/CHECKPOINT; after --against, a checkpoint's name alone will do.
    SAMPLE is the benchmark's own id, or the beginning of the item's hash.
    """
    from evalkit.commands._side_by_side import side_by_side
    from evalkit.errors import ConfigError
    from evalkit.evidence.pairs import Pair
    from evalkit.reporting.reading import describe_cell, describe_sample, lost_samples, sat

    folder = results or Path(RESULTS)
    one = sat(cell, folder)
    if not against:
        if lost or gained:
            raise ConfigError("--lost and --gained: give the other cell as --against")
        say(f"{describe_sample(one.cell, sample) if sample else describe_cell(one.cell)}\n")
        return
    other = sat(against, folder, one.task)
    if not (sample or lost or gained):
        say(f"{lost_samples(one.cell, other.cell)}\n")
        return
    pair = Pair(other, one)
    flips = [pair.sample(sample)] if sample else pair.telling(lost or 0, gained or 0)
    if not flips:
        names = one_line(f"{one.checkpoint} against {other.checkpoint}")
        click.echo(f"{names}: there is none", err=True)
    say(side_by_side(pair.transcripts(flips), *canvas()))
