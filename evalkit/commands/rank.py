"""Players in the order of their strength."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.commands._shared import RESULTS, format_option, results_option, say

if TYPE_CHECKING:
    from evalkit.stats.battles import Battle


@click.command()
@click.argument("checkpoints", nargs=-1)
@click.option(
    "--battles",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Rank the models of this file of battles instead; may be given again.",
)
@click.option("--task", default="", help="The judged task.  [default: the only one there is]")
@click.option(
    "--anchor",
    default="",
    help="Whose strength is 0.  [default: the task's references; of files, the mean of all]",
)
@click.option("--style", is_flag=True, help="Take out what length and Markdown earn.")
@results_option
@format_option
def rank(
    checkpoints: tuple[str, ...],
    files: tuple[Path, ...],
    task: str,
    anchor: str,
    style: bool,
    results: Path | None,
    form: str,
) -> None:
    """Rank CHECKPOINTS by how their judged answers did against a task's references, or the models
    of files of battles (model_a, model_b, winner), by Bradley-Terry.

    CSV, JSON, JSON lines and Parquet are read.  Ties count half for each, `weight` counts as so
    many battles, and intervals are by bootstrap over prompts.
    """
    from evalkit.errors import ConfigError
    from evalkit.ranking import files as of_files
    from evalkit.ranking.cells import REFERENCE
    from evalkit.ranking.table import table, text

    if bool(files) == bool(checkpoints):
        raise ConfigError("name the checkpoints to rank, or give --battles FILE, but not both")
    if files:
        fought = [battle for path in files for battle in of_files.read(path, styled=style)]
    else:
        fought = _of_cells(checkpoints, task, results or Path(RESULTS))
        anchor = anchor or REFERENCE
    found = table(fought, anchor, styled=style)
    say(found.model_dump_json(indent=1) + "\n" if form == "json" else text(found))


def _of_cells(names: tuple[str, ...], task: str, results: Path) -> list[Battle]:
    from evalkit.errors import ConfigError
    from evalkit.ranking.cells import battles, judged_tasks
    from evalkit.reporting.cells import stored
    from evalkit.storage.store import Store

    found = list(stored(Store(results)))
    judged = judged_tasks(found)
    if not task and len(judged) != 1:
        there = ", ".join(judged) or "none"
        raise ConfigError(f"--task: which judged task?  There are in {results}: {there}")
    return battles(found, task or judged[0], names)
