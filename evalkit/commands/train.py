"""The pipeline stage by stage, each checkpoint judged as soon as it is made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit.commands._shared import (
    config_argument,
    limit_option,
    matrix_of,
    measured,
    one_line,
    publish,
    refuse_margins,
    report_dir_option,
    results_option,
    told_how,
)

if TYPE_CHECKING:
    from evalkit.verdict import Report


@click.command()
@config_argument
@click.argument("stages", nargs=-1)
@results_option
@report_dir_option
@click.option(
    "--gate",
    is_flag=True,
    help="Stop at the first stage that regressed, and exit with the verdict's code.",
)
@limit_option
def train(
    config: Path,
    stages: tuple[str, ...],
    results: Path | None,
    report_dir: Path | None,
    gate: bool,
    limit: int | None,
) -> None:
    """Train the stages of CONFIG's pipeline that are missing; all of them, or those named.

    Each checkpoint is asked as soon as it is made and compared with the baseline and its parent;
    the report comes at the end.  The same command goes on wherever it was stopped.
    """
    from evalkit.errors import UnknownName
    from evalkit.reporting import report as reporting
    from evalkit.terminal.progress import progress
    from evalkit.training.stagewise import train_and_judge

    matrix, folder = matrix_of(config, results, limit)
    known = [stage.name for stage in matrix.stages]
    for name in stages:
        if name not in known:
            raise UnknownName("stage", name, known)

    def refuse(report: Report) -> None:
        refuse_margins(report, matrix, config)

    with progress() as notify:
        outcome = train_and_judge(matrix, stages, folder, notify, refuse if gate else None)
    limited = ("--limit", limit) if limit else ()
    command = ["train", config.name, *stages, *limited]
    found = told_how(reporting.of_run(outcome.held), command, config)
    publish(found, folder, report_dir, matrix.reports)
    for failure in outcome.held.failures:
        click.echo(f"evalkit: {one_line(failure)}", err=True)
    if outcome.left:
        left = ", ".join(outcome.left)
        click.echo(f"evalkit: {outcome.stopped} regressed: {left} not trained", err=True)
    if gate:
        sys.exit(1 if outcome.stopped else found.exit_code)
    sys.exit(0 if measured(found) else 4)
