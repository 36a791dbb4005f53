"""What there is."""

from __future__ import annotations

import click

from evalkit.commands._shared import say


@click.command("list")
@click.argument("kind", type=click.Choice(["tasks", "backends", "trainers", "reports"]))
def list_plugins(kind: str) -> None:
    """List the tasks, backends, trainers or reports there are."""
    from evalkit.reading import listing

    say(f"{listing(kind)}\n")
