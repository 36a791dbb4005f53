"""What checkpoints came of."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, format_option, results_option, say


@click.command()
@click.argument("checkpoint")
@click.argument("other", required=False)
@results_option
@format_option
def lineage(checkpoint: str, other: str | None, results: Path | None, form: str) -> None:
    """Show what CHECKPOINT came of, back to the first; with OTHER, what differs between the two.

    By manifests alone: parent, method, arguments, data and its weights, reward, framework, seed.
    A checkpoint on the way is called STAGE@STEP.
    """
    import json

    from evalkit.commands._lineage_text import history, table
    from evalkit.reporting.reading import printable
    from evalkit.training.lineage import ancestors, differences, everything, facts, find

    known = everything(results or Path(RESULTS))
    first = find(known, checkpoint)
    if other:
        second = find(known, other)
        found = differences(first, second)
        text = table(first, second, found)
        whole: object = {"checkpoints": [first.name, second.name], "differences": found}
    else:
        line = [first, *ancestors(known, first)]
        text = history(line)
        whole = [{"name": each.name, **facts(each)} for each in line]
    said = json.dumps(whole, indent=1) if form == "json" else printable(text)
    say(f"{said}\n")
