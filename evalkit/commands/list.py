"""What there is."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, format_option, results_option, say

KINDS = ("tasks", "scorers", "backends", "trainers", "reports")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@results_option
@format_option
def list_plugins(kind: str, results: Path | None, form: str) -> None:
    """List the tasks, scorers, backends, trainers or reports there are.

    Tasks are told with their size, what they take and can show, and whether their data are at
    hand; the results folder tells how many tokens they took.  Nothing is downloaded.
    """
    import json
    from dataclasses import asdict

    if kind == "tasks":
        from evalkit.exams.catalogue import catalogue, text

        found = catalogue(results or Path(RESULTS))
        as_json = [asdict(each) for each in found]
        say(text(found) if form == "text" else f"{json.dumps(as_json, indent=1)}\n")
        return
    from evalkit.reporting.reading import about, listing

    said = f"{json.dumps(about(kind), indent=1)}" if form == "json" else listing(kind)
    say(f"{said}\n")
