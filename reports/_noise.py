"""How much a checkpoint's score moves when nothing was changed, in one sentence."""

from __future__ import annotations

from evalkit.planning.repeats import words
from evalkit.verdict import NoiseNote

from ._text import clean


def noise(note: NoiseNote) -> str:
    """One checkpoint's noise in one task; names are as they show."""
    shown = {"checkpoint": clean(note.checkpoint, 60), "task": clean(note.task, 60)}
    return words(note.model_copy(update=shown))
