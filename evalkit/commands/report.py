"""A verdict rendered again."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import fitted, say


@click.command()
@click.argument("verdict", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "name", default="terminal", show_default=True, help="A renderer's name.")
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that the samples are in.  [default: the one that VERDICT's folder is in]",
)
def report(verdict: Path, name: str, results: Path | None) -> None:
    """Render a verdict.json again, in any format that `evalkit list reports` shows."""
    from evalkit.evidence.stored import StoredEvidence
    from evalkit.reading import read_verdict

    found = read_verdict(verdict)
    folder = results or verdict.absolute().parent.parent
    say(fitted(name, found, StoredEvidence(folder, found)))
