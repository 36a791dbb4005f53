"""Writes the reference of the commands from their `--help`: `python docs/generate_cli.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from evalkit.cli import cli

WIDTH = 100
HEAD = """\
# Commands

What `--help` says of each, at its full width.  This page is generated:
`python docs/generate_cli.py > docs/cli.md`.
"""


def reference() -> str:
    """The page: the group, then each command."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    root = click.Context(cli, info_name="evalkit", **cli.context_settings, terminal_width=WIDTH)
    yield from _of_group("evalkit", cli, root)


def _of_group(title: str, group: click.Command, context: click.Context) -> Iterator[str]:
    """The section of a command, and of every command under it."""
    yield _section(title, group, context)
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            inner = click.Context(command, context, name, **command.context_settings)
            yield from _of_group(f"{title} {name}", command, inner)


def _section(title: str, command: click.Command, context: click.Context) -> str:
    return f"## {title}\n\n```text\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
