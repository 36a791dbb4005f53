"""Progress on stderr: a bar per cell on a terminal, one line per cell elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from evalkit.events import Asked, Event, Notify


@contextmanager
def progress() -> Iterator[Notify]:
    """Shows events for as long as the context lasts."""
    if sys.stderr.isatty():
        with _bars() as notify:
            yield notify
    else:
        yield _Lines().tell


class _Lines:
    """One line when a cell begins and one when it is complete."""

    def __init__(self) -> None:
        self.begun: set[tuple[str, str]] = set()

    def tell(self, event: Event) -> None:
        if not isinstance(event, Asked):
            print(event.text, file=sys.stderr, flush=True)  # noqa: T201
            return
        cell = (event.checkpoint, event.task)
        if event.done >= event.total or cell not in self.begun:
            self.begun.add(cell)
            print(_line(event), file=sys.stderr, flush=True)  # noqa: T201


def _line(event: Asked) -> str:
    errors = f", {event.errors} errors" if event.errors else ""
    return f"{event.checkpoint} · {event.task}: {event.done}/{event.total}{errors}"


@contextmanager
def _bars() -> Iterator[Notify]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bars = {}

        def tell(event: Event) -> None:
            if not isinstance(event, Asked):
                shown.console.print(event.text, highlight=False, markup=False)
                return
            cell = (event.checkpoint, event.task)
            if cell not in bars:
                bars[cell] = shown.add_task(f"{event.checkpoint} · {event.task}")
            shown.update(bars[cell], completed=event.done, total=event.total)

        yield tell
