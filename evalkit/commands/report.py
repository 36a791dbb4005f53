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
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="File to write instead of printing; of `figures`, the folder.  [default: beside VERDICT]",
)
def report(verdict: Path, name: str, results: Path | None, output: Path | None) -> None:
    """Render a verdict.json again, in any format that `evalkit list reports` shows."""
    from evalkit import plugins
    from evalkit.evidence.stored import StoredEvidence
    from evalkit.reporting.reading import read_verdict
    from evalkit.reporting.writing import write_one
    from evalkit.verdict import Renderer

    found, renderer = read_verdict(verdict), plugins.report_format(name)
    evidence = StoredEvidence(results or verdict.absolute().parent.parent, found)
    if isinstance(renderer, Renderer) and output is None:
        say(fitted(renderer, found, evidence))
        return
    path = output or verdict.parent / renderer.filename
    write_one(renderer, found, path, evidence)
    click.echo(f"wrote {path}", err=True)
