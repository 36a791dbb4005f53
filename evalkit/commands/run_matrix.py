"""Train, ask, grade, compare: the main job."""

from __future__ import annotations

import sys
from pathlib import Path

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


@click.command("run-matrix")
@config_argument
@results_option
@report_dir_option
@click.option("--gate", is_flag=True, help="Exit with the verdict's code: 1 regressed, 3 unclear.")
@limit_option
def run_matrix(
    config: Path, results: Path | None, report_dir: Path | None, gate: bool, limit: int | None
) -> None:
    """Train, ask, grade and compare whatever of CONFIG has not been yet; then report."""
    from evalkit.reporting import report as reporting
    from evalkit.run import hold
    from evalkit.terminal.progress import progress

    matrix, folder = matrix_of(config, results, limit)
    with progress() as notify:
        held = hold(matrix, folder, notify)
    found = reporting.of_run(held)
    if gate:
        refuse_margins(found, matrix, config)
    limited = ("--limit", limit) if limit else ()
    found = told_how(found, ["run-matrix", config.name, *limited], config)
    publish(found, folder, report_dir, matrix.reports)
    for failure in held.failures:
        click.echo(f"evalkit: {one_line(failure)}", err=True)
    if gate:
        sys.exit(found.exit_code)
    sys.exit(0 if measured(found) else 4)
