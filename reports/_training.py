"""What a training was, and what in its logs warns of trouble."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.verdict import MakingNote, Report

from ._text import clean


def warnings(report: Report) -> Iterator[str]:
    """Every flag of every stage."""
    for note in report.training:
        yield from (f"{clean(note.stage, 60)}: {clean(flag, 400)}" for flag in note.flags)


def trained(made: MakingNote) -> Iterator[str]:
    """What a checkpoint came of, in short phrases; its arguments stand in the configuration."""
    if made.framework:
        yield clean(made.framework, 60)
    if made.data:
        yield " + ".join(f"{each.weight:g} × {clean(each.source, 60)}" for each in made.data)
    if made.reward:
        yield f"reward {clean(made.reward, 60)}"
    if made.seed is not None:
        yield f"seed {made.seed}"
