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
    refuse_margins,
    report_dir_option,
    results_of,
    results_option,
    told_how,
)


@click.command()
@config_argument
@results_option
@report_dir_option
@limit_option
@click.option(
    "--fast", is_flag=True, help="Ask in planned looks, and stop as soon as a margin is decided."
)
@click.option(
    "--uncapped",
    is_flag=True,
    help="With --fast: lay the looks out up to every item, as a full run may follow.",
)
@click.option(
    "--stored", is_flag=True, help="Take checkpoints and tasks by name from the results: imports."
)
def gate(
    config: Path,
    results: Path | None,
    report_dir: Path | None,
    limit: int | None,
    fast: bool,
    uncapped: bool,
    stored: bool,
) -> None:
    """Judge what the results hold by CONFIG's `gate:` and exit with the verdict.

    Asks nothing, but with --fast: then the baseline is asked in full where it has not been, and
    each candidate only as far as it takes to decide.
    """
    from evalkit.errors import ConfigError
    from evalkit.events import silent
    from evalkit.fast.gate import fast_gate
    from evalkit.reporting import report as reporting
    from evalkit.run import hold
    from evalkit.terminal.progress import progress

    if uncapped and not fast:
        raise ConfigError("--uncapped says how --fast plans its looks: give both")
    if stored:
        _gate_stored(config, results, report_dir)
    matrix, folder = matrix_of(config, results, limit)
    if fast:
        with progress() as notify:
            found = fast_gate(matrix, folder, notify, capped=not uncapped)
    else:
        found = reporting.of_run(hold(matrix, folder, silent, ask=False))
        refuse_margins(found, matrix, config)
    flags = [name for name, on in (("--fast", fast), ("--uncapped", uncapped)) if on]
    limited = ("--limit", limit) if limit else ()
    found = told_how(found, ["gate", config.name, *flags, *limited], config)
    publish(found, folder, report_dir, matrix.reports)
    sys.exit(found.exit_code)


def _gate_stored(config: Path, results: Path | None, report_dir: Path | None) -> NoReturn:
    from evalkit.comparison.stored_gate import stored_report
    from evalkit.configuration.config import load

    loaded = load(config)
    folder = results_of(loaded, results)
    found = told_how(stored_report(loaded, folder), ["gate", config.name, "--stored"], config)
    publish(found, folder, report_dir, tuple(loaded.config.reports))
    sys.exit(found.exit_code)
