"""The verdict of what is there, as an exit code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

from evalkit.commands._shared import (
    config_argument,
    limit_option,
    matrix_of,
    publish,
    report_dir_option,
    results_of,
    results_option,
)


@click.command()
@config_argument
@results_option
@report_dir_option
@limit_option
@click.option(
    "--stored", is_flag=True, help="Take checkpoints and tasks by name from the results: imports."
)
def gate(
    config: Path,
    results: Path | None,
    report_dir: Path | None,
    limit: int | None,
    stored: bool,
) -> None:
    """Judge what the results hold by CONFIG's `gate:` and exit with the verdict; asks nothing."""
    from evalkit import report as reporting
    from evalkit.events import silent
    from evalkit.run import hold

    if stored:
        _gate_stored(config, results, report_dir)
    matrix, folder = matrix_of(config, results, limit)
    found = reporting.of_run(hold(matrix, folder, silent, ask=False))
    publish(found, report_dir or folder / "report", matrix.reports)
    sys.exit(found.exit_code)


def _gate_stored(config: Path, results: Path | None, report_dir: Path | None) -> NoReturn:
    from evalkit.config import load
    from evalkit.stored_gate import stored_report

    loaded = load(config)
    folder = results_of(loaded, results)
    found = stored_report(loaded, folder)
    publish(found, report_dir or folder / "report", tuple(loaded.config.reports))
    sys.exit(found.exit_code)
