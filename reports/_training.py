"""What in the logs of a training warns of trouble, in one sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.verdict import Report

from ._text import clean


def warnings(report: Report) -> Iterator[str]:
    """Every flag of every stage."""
    for note in report.training:
        yield from (f"{clean(note.stage, 60)}: {clean(flag, 400)}" for flag in note.flags)
