"""Contamination for people."""

from __future__ import annotations

from evalkit.contamination.found import Contamination, TaskNote
from evalkit.reporting.reading import printable
from evalkit.terminal.columns import columns

HEAD = ["task", "items", "touched", "most of it", "whole", "too short", "such as"]

LEGEND = """\
touched: items that share 13 tokens in a row with the data, or are there as a whole.  most of it:
80 % of those.  too short: items of fewer than 13 tokens, which are only found as a whole"""


def text(found: Contamination) -> str:
    """A line a task, the most touched first."""
    tasks = sorted(found.tasks, key=lambda task: (-task.touched / max(1, task.items), task.task))
    lines = [
        f"{found.rows:,} rows of {printable(', '.join(found.files))}",
        "",
        columns(HEAD, [_row(task) for task in tasks]),
        LEGEND,
        *(
            f"left out: {printable(task)}: {printable(why)[:160]}"
            for task, why in found.left_out.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _row(task: TaskNote) -> list[str]:
    counts = (task.items, task.touched, task.most, task.exact, task.short)
    example = f"{task.found[0].id} ({task.found[0].first})" if task.found else ""
    return [printable(task.task), *(f"{count:,}" for count in counts), printable(example)]
