"""A checkpoint's results as files that others read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.commands._shared import RESULTS, rendered, results_option, say

if TYPE_CHECKING:
    from evalkit.storage.store import Store
    from evalkit.verdict import Report


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
@click.option("--against", default="", help="Of a model card: the checkpoint it is compared with.")
def export(checkpoint: str, results: Path | None, form: str, out: Path, against: str) -> None:
    """Export what the results hold of CHECKPOINT, by name, as another harness's files.

    A model card is a section of README.md, which is replaced if it is there, and `.eval_results`.
    """
    from datetime import UTC, datetime

    from evalkit.errors import ConfigError
    from evalkit.interchange import write_every_eval_ever, write_lm_eval, write_model_card
    from evalkit.interchange.exported import exported
    from evalkit.storage.store import Store

    if against and form != write_model_card.NAME:
        raise ConfigError("--against is of --format model-card: other files hold no comparison")
    writers = {
        writer.NAME: writer.write
        for writer in (write_lm_eval, write_every_eval_ever, write_model_card)
    }
    store = Store(results or Path(RESULTS))
    written = writers[form](exported(store, checkpoint), out, datetime.now(UTC))
    if form == write_model_card.NAME:
        section = rendered("model-card", _report(store, checkpoint, against))
        written.append(write_model_card.write_section(section, out / "README.md"))
    say("".join(f"{path}\n" for path in written))


def _report(store: Store, checkpoint: str, against: str) -> Report:
    """The checkpoint against another, or by itself."""
    from evalkit.comparison.policy import Policy
    from evalkit.reporting.assembly import assemble
    from evalkit.reporting.cells import stored
    from evalkit.reporting.report import of_store

    if against:
        return of_store(store, [against, checkpoint], Policy())
    found = {cell.task: cell for cell in stored(store) if cell.checkpoint == checkpoint}
    return assemble(checkpoint, (), list(found.values()), Policy())
