"""Training alone."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import config_argument, matrix_of, results_option


@click.command()
@config_argument
@click.argument("stages", nargs=-1)
@results_option
def train(config: Path, stages: tuple[str, ...], results: Path | None) -> None:
    """Train the stages of CONFIG's pipeline that are missing; all of them, or those named."""
    from evalkit.errors import UnknownName
    from evalkit.pipeline import trained
    from evalkit.progress import progress

    matrix, folder = matrix_of(config, results, None)
    known = [stage.name for stage in matrix.stages]
    for name in stages:
        if name not in known:
            raise UnknownName("stage", name, known)
    with progress() as notify:
        made = trained(matrix, folder, notify, stages)
    for row in (*made.rows, *made.judges):
        if row.checkpoint.method and row.checkpoint.model:
            click.echo(f"{row.checkpoint.name}\t{row.checkpoint.model}")
