"""What is asked and was trained on."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from evalkit.commands._shared import format_option, say

file = click.Path(path_type=Path)


@click.command()
@click.argument("data", nargs=-1, required=True, type=file)
@click.option("--task", "tasks", multiple=True, help="Only this task; may be given again.")
@click.option("--config", type=file, help="The tasks of this file.  [default: all at hand]")
@format_option
def contamination(
    data: tuple[Path, ...], tasks: tuple[str, ...], config: Path | None, form: str
) -> None:
    """Tell which items of which tasks stand in training DATA: JSONL, JSON, CSV, parquet or text.

    Every text of a row is looked through, turns of conversations too, for 13 words in a row of an
    item (13 characters, in scripts without spaces), and for whole questions and prompts.  An item
    that is touched may be known by heart: scores tell less there.
    """
    from evalkit.contamination.asked import asked
    from evalkit.contamination.found import Contamination, contamination
    from evalkit.contamination.telling import text
    from evalkit.exams.upstream import without_downloads

    with nullcontext() if tasks else without_downloads():
        exams, left_out = asked(config, tasks)
        notes, rows = contamination(exams, data)
    found = Contamination(files=[*map(str, data)], rows=rows, tasks=notes, left_out=left_out)
    say(found.model_dump_json(indent=1) + "\n" if form == "json" else text(found))
