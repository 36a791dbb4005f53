"""A cell, a sample, or what was lost."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import say


@click.command()
@click.argument("cell", type=click.Path(path_type=Path, file_okay=False))
@click.argument("sample", required=False)
@click.option(
    "--against",
    type=click.Path(path_type=Path, file_okay=False),
    help="List the samples that CELL lost: those on which this other cell scores higher.",
)
def show(cell: Path, sample: str | None, against: Path | None) -> None:
    """Show a cell of the results folder, or one SAMPLE of it by the benchmark's own id."""
    from evalkit.reading import describe_cell, describe_sample, lost_samples

    if against:
        say(f"{lost_samples(cell, against)}\n")
    else:
        say(f"{describe_sample(cell, sample) if sample else describe_cell(cell)}\n")
