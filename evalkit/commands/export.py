"""A checkpoint's results as files that others read."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, results_option, say


@click.command()
@click.argument("checkpoint")
@results_option
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["lm-eval", "every-eval-ever", "model-card"]),
    help="Whose files are written.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder they go below.",
)
def export(checkpoint: str, results: Path | None, form: str, out: Path) -> None:
    """Export what the results hold of CHECKPOINT, by name, as another harness's files."""
    from datetime import UTC, datetime

    from evalkit.interchange import write_every_eval_ever, write_lm_eval, write_model_card
    from evalkit.interchange.exported import exported
    from evalkit.store import Store

    writers = {
        writer.NAME: writer.write
        for writer in (write_lm_eval, write_every_eval_ever, write_model_card)
    }
    cells = exported(Store(results or Path(RESULTS)), checkpoint)
    written = writers[form](cells, out, datetime.now(UTC))
    say("".join(f"{path}\n" for path in written))
