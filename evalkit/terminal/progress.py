"""Progress on stderr: a bar per cell on a terminal, a line as it begins and as it ends elsewhere.

Beside the bar: the time until the checkpoint is through, tokens a second, and outcomes so far.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from evalkit.events import Asked, Event, Notify

MOST_OUTCOMES = 3


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
    done = f"{event.checkpoint} · {event.task}: {event.done}/{event.total}{errors}"
    return ", ".join(filter(None, (done, *_details(event)))) if event.done >= event.total else done


def _details(event: Asked) -> Iterator[str]:
    """How fast answers come, and what became of those graded so far: the most frequent first."""
    if event.tokens_per_second >= 1:
        yield f"{event.tokens_per_second:,.0f} tokens/s"
    often = sorted(event.outcomes.items(), key=lambda each: (-each[1], each[0]))
    for outcome, count in often[:MOST_OUTCOMES]:
        yield f"{count:,} {outcome.partition(':')[0]}"


def _left(seconds: float | None) -> str:
    """The time until a checkpoint is through, as a clock shows it."""
    if seconds is None:
        return "-:--:--"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


@contextmanager
def _bars() -> Iterator[Notify]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[details]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bars = {}

        def tell(event: Event) -> None:
            if not isinstance(event, Asked):
                shown.console.print(event.text, highlight=False, markup=False)
                return
            cell = (event.checkpoint, event.task)
            if cell not in bars:
                about = f"{event.checkpoint} · {event.task}"
                bars[cell] = shown.add_task(about, left="", details="")
            shown.update(
                bars[cell],
                completed=event.done,
                total=event.total,
                left="" if event.done >= event.total else _left(event.seconds_left),
                details=", ".join(_details(event)),
            )

        yield tell
