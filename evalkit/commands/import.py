"""Results of other harnesses into the results folder."""

from __future__ import annotations

import math
from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, one_line, results_option, say


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@results_option
@click.option("--name", default="", help="What the checkpoint is called here.  [default: its own]")
@click.option(
    "--format",
    "form",
    default="auto",
    show_default=True,
    help="auto, lm-eval, inspect or every-eval-ever.",
)
@click.option("--metric", default="", help="The metric to take.  [default: the log's headline]")
@click.option(
    "--bounds",
    type=(float, float),
    help="Scale of a metric whose log does not tell it; with --metric, of that one.",
)
@click.option(
    "--domain", default="", help="Domain of the tasks.  [default: the group, or the task]"
)
def import_logs(
    paths: tuple[Path, ...],
    results: Path | None,
    name: str,
    form: str,
    metric: str,
    bounds: tuple[float, float] | None,
    domain: str,
) -> None:
    """Import logs of lm-eval, inspect or Every Eval Ever: PATHS are files, or folders of them."""
    from evalkit.errors import ConfigError, DataError
    from evalkit.interchange.imported import Skipped, Wanted
    from evalkit.interchange.kept import keep
    from evalkit.interchange.reading import read
    from evalkit.storage.store import Store

    if bounds and not -math.inf < bounds[0] < bounds[1] < math.inf:
        raise ConfigError("--bounds: give two numbers, the lower end first")
    store, kept = Store(results or Path(RESULTS)), 0
    for found in read(paths, Wanted(name, metric, bounds, domain), form):
        if isinstance(found, Skipped):
            click.echo(one_line(f"skipped {found.task}: {found.reason}"), err=True)
            continue
        cell = keep(found, store)
        kept += 1
        size = f"{len(found.rows)} samples" if found.rows else "its score alone, unpaired"
        say(f"{one_line(cell.path)}\t{one_line(found.metric.name)}\t{size}\n")
    if not kept:
        raise DataError("nothing was imported: see above what was skipped")
