"""How far a judge may be trusted, in one sentence."""

from __future__ import annotations

from evalkit.verdict import JudgeNote

from ._text import clean, percent


def judge(note: JudgeNote) -> str:
    """One judge of one task: its accuracy, how often order turns it, and what follows."""
    accuracy = "unknown" if note.accuracy is None else f"{percent(note.accuracy)} %"
    flips = "unknown" if note.flip_rate is None else f"{percent(note.flip_rate)} %"
    told = (
        f"{clean(note.judge, 60)} on {clean(note.task, 60)}: accuracy {accuracy}, "
        f"position flips {flips}, {note.pairs:,} labelled pairs"
    )
    return told + ("; ADVISORY: too weak to decide, it never gates" if note.advisory else "")
