"""A verdict rendered again."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import fitted, say


@click.command()
@click.argument("verdict", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "name", default="terminal", show_default=True, help="A renderer's name.")
def report(verdict: Path, name: str) -> None:
    """Render a verdict.json again, in any format that `evalkit list reports` shows."""
    from evalkit.reading import read_verdict

    say(fitted(name, read_verdict(verdict)))
