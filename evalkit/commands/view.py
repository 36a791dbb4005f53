"""Every sample in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, say


@click.command()
@click.argument("results", type=click.Path(path_type=Path, file_okay=False), default=Path(RESULTS))
@click.option(
    "--verdict",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The verdict to look at.  [default: RESULTS/report/verdict.json]",
)
@click.option("--baseline", help="Without a verdict: hold every other checkpoint against this one.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: any free one]")
def view(results: Path, verdict: Path | None, baseline: str | None, port: int) -> None:
    """Serve the report and every sample of RESULTS to a browser on this machine.

    Prints the address, and goes on until it is stopped (Ctrl-C).
    """
    from evalkit.viewing.opened import opened

    with opened(results, verdict, baseline, port) as viewer:
        say(f"{viewer.url}\n")
        try:
            viewer.serve_forever()
        except KeyboardInterrupt:
            click.echo("evalkit: stopped", err=True)
