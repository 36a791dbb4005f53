"""How each checkpoint did by itself: for looking at, never for comparing."""

from __future__ import annotations

from evalkit.verdict import CheckpointScore, Report

from ._drift import manner
from ._text import MISSING, clean, count, percent


def scores(report: Report) -> list[CheckpointScore]:
    """All scores, by task and then in the order of the checkpoints."""
    order = {name: place for place, name in enumerate(dict.fromkeys(_names(report)))}
    return sorted(report.scores, key=lambda score: (score.task, order[score.checkpoint]))


def _names(report: Report) -> list[str]:
    return [
        *(note.name for note in report.checkpoints),
        *(score.checkpoint for score in report.scores),
    ]


def score_with_interval(score: CheckpointScore) -> str:
    """29.8 % [28.9, 30.6], or a dash where nothing was measured."""
    if score.score is None:
        return MISSING
    ci = score.ci and f" [{percent(score.ci[0])}, {percent(score.ci[1])}]"
    return f"{percent(score.score)} %{ci or ''}"


def in_words(score: CheckpointScore) -> str:
    """One score on one line."""
    name = f"{clean(score.checkpoint, 60)} in {clean(score.task, 60)}"
    times = f", {score.epochs} answers each" if score.epochs > 1 else ""
    read = "".join(f"; {words}" for words in manner(score.manner)) if score.manner else ""
    return f"{name}: {score_with_interval(score)}, {count(score.n)} items{times}{read}"
