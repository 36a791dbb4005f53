"""A report in an experiment tracker."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import say


@click.command()
@click.argument(
    "verdict",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("results/report/verdict.json"),
)
@click.option("--to", "tracker", required=True, type=click.Choice(["wandb", "mlflow"]))
@click.option(
    "--project", default="evalkit", show_default=True, help="W&B's project, MLflow's experiment."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the offline run, or of mlflow.db.  [default: that of the results]",
)
def track(verdict: Path, tracker: str, project: str, out: Path | None) -> None:
    """Log scores, deltas and verdicts of VERDICT, a verdict.json, over training steps.

    To an offline run of Weights & Biases, or to MLflow: a local database, or MLFLOW_TRACKING_URI.
    The same report is one run, however often.  [default of VERDICT: results/report/verdict.json]
    """
    from evalkit.reporting.reading import read_verdict
    from evalkit.trackers import mlflow_store, wandb_offline
    from evalkit.trackers.points import tracked

    report = read_verdict(verdict)
    write = {"wandb": wandb_offline.track, "mlflow": mlflow_store.track}[tracker]
    where, new = write(report, tracked(report), project, out or verdict.absolute().parent.parent)
    say(f"{where}\t{'new' if new else 'there already'}\n")
