"""What a run could show, and take, before anything is spent."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import config_argument, limit_option, matrix_of, results_option, say


@click.command()
@config_argument
@results_option
@limit_option
@click.option(
    "--format", "form", type=click.Choice(["terminal", "json"]), default="terminal", help="How."
)
def plan(config: Path, results: Path | None, limit: int | None, form: str) -> None:
    """Tell what CONFIG could show and what it would take, before anything is spent.

    For each task and domain: the smallest decline that would show, how often an unchanged model
    passes the margin, and the items or answers that would do; the requests, tokens and time left.
    """
    import json
    from dataclasses import asdict

    from evalkit.commands._plan_table import table
    from evalkit.planning.plan import plan as planned

    found = planned(*matrix_of(config, results, limit))
    say(f"{json.dumps(asdict(found), indent=1)}\n" if form == "json" else table(found))
