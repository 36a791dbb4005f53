"""Environments of their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from evalkit.commands._shared import say

if TYPE_CHECKING:
    from evalkit.envs import Recipe


@click.command()
@click.argument("name", required=False)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def env(name: str | None, command: tuple[str, ...]) -> None:
    """Make and check the environment NAME, or run a COMMAND in it; without a NAME, list them.

    An environment is a virtual one of its own, for packages that pin the world.  It is made once,
    from a lock file, under ~/.cache/evalkit/envs.  A COMMAND follows two dashes:
    `evalkit env lm-eval -- lm-eval --help`.
    """
    from evalkit.envs import make, recipes
    from evalkit.envs.making import check, inside
    from evalkit.terminal.progress import progress

    if name is None:
        say("".join(f"{_line(found)}\n" for found in recipes().values()))
        return
    with progress() as notify:
        python = make(name, notify)
    if command:
        variables = inside(python)
        try:
            os.execvpe(command[0], command, variables)
        except OSError as error:
            raise click.ClickException(f"cannot run {command[0]}: {error.strerror}") from None
    check(name)
    say(f"{python}\n")


def _line(found: Recipe) -> str:
    """An environment in the list: its name, whether it is there, and what it is for."""
    from evalkit.envs.making import folder_of, is_made, size_of

    folder = folder_of(found)
    if is_made(found):
        state = f"made, {_size(size_of(found))}"
    else:
        state = "half made" if folder.exists() else "not made"
    return f"{found.name:12} {state:14} {found.about}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
