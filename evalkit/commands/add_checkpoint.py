"""Checkpoints that nothing else registers."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("add-checkpoint")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("path", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--step", type=click.IntRange(min=0), required=True, help="Training steps behind it.")
@click.option("--method", default="", help="How it was trained.")
@click.option("--parent", default="", help="The checkpoint that it was trained from, by name.")
def add_checkpoint(run: Path, path: Path, step: int, method: str, parent: str) -> None:
    """Register the model in PATH as a checkpoint of RUN, a folder that keeps a manifest.

    For trainings that evalkit knows nothing of: `evalkit watch RUN` evaluates what was added.
    """
    from evalkit.training.manifest import adding

    entry = adding(run, path, step, {"method": method, "parent": {"name": parent}})
    click.echo(f"{run.resolve().name}@{step}\t{entry['identity']}")
