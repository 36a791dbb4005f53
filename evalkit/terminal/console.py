"""Rich renderables as text: of a given width, coloured or plain, whatever the environment says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import StringIO

from rich.console import Console, RenderableType

Parts = Callable[[int], Iterable[RenderableType]]
"""What is printed, one after the other, given the width there is."""


def text(parts: Parts, width: int, *, colour: bool = False) -> str:
    """The parts as lines of text, without trailing spaces; with `colour`, with ANSI colours."""
    file = StringIO()
    # An empty environment: NO_COLOR, COLUMNS and their like must not change the bytes.
    console = Console(
        file=file,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        _environ={},
    )
    printed(parts, console)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def printed(parts: Parts, console: Console) -> None:
    """Prints the parts in the console's own colours and width."""
    for part in parts(console.width):
        console.print(part, highlight=False, markup=False)
