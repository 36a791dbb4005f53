"""How answers read, and where that drifted: longer, refusing, or in another language.

What is told is what a reader would want to look at; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from evalkit.verdict import CandidateVerdict, CheckpointScore, Manner, Report

from ._rows import in_reading_order
from ._text import clean, count, percent

LONGER = 1.5
"""Times as long, or as short, as answers must have become."""
MORE = 0.02
"""Change of a share, in both directions, that is told where chance does not explain it."""
SHORTEST = 20.0
"""Characters that an answer counts as at least: of a letter and a word twice as long is nothing."""
ERRORS = 2.6
"""Standard errors that chance explains."""


def manner(told: Manner) -> list[str]:
    """A checkpoint's figures in words."""
    words = [f"{characters(told)} characters an answer"]
    if told.refused:
        words.append(f"{percent(told.refused)} % refuse")
    if told.other_language:
        words.append(f"{percent(told.other_language)} % in another language than asked in")
    return words


def characters(told: Manner) -> str:
    """The mean length of an answer."""
    return count(round(told.characters))


def drifts(report: Report) -> list[str]:
    """A line for each task in which a candidate's answers read otherwise than those before."""
    known = {(score.checkpoint, score.task): score for score in report.scores}
    return [
        f"{clean(candidate.name, 60)} against {clean(candidate.against, 60)}, "
        f"{clean(task, 60)}: {'; '.join(words)}"
        for candidate in in_reading_order(report)
        for task, words in _drifted(candidate, known)
    ]


def _drifted(
    candidate: CandidateVerdict, known: dict[tuple[str, str], CheckpointScore]
) -> Iterator[tuple[str, list[str]]]:
    for cell in candidate.cells:
        pair = [known.get((name, cell.task)) for name in (candidate.against, candidate.name)]
        before, after = (score.manner if score else None for score in pair)
        if before and after and (words := _changes(before, after)):
            yield cell.task, words


def _changes(before: Manner, after: Manner) -> list[str]:
    words = []
    shorter, longer = sorted((before.characters, after.characters))
    if longer >= LONGER * max(shorter, SHORTEST):
        words.append(f"answers of {characters(before)} → {characters(after)} characters")
    if _moved(before.refused, before.answers, after.refused, after.answers):
        words.append(f"{_shares(before.refused, after.refused)} refuse")
    was, now = before.other_language, after.other_language
    if None not in (was, now) and _moved(was or 0, before.compared, now or 0, after.compared):
        words.append(f"{_shares(was, now)} in another language than asked in")
    return words


def _moved(before: float, n: int, after: float, m: int) -> bool:
    spread = before * (1 - before) / max(n, 1) + after * (1 - after) / max(m, 1)
    return abs(after - before) >= max(MORE, ERRORS * sqrt(spread))


def _shares(before: float | None, after: float | None) -> str:
    return f"{percent(before)} → {percent(after)} %"
