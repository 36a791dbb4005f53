"""The samples that a comparison lost, a line each, for where there is room for a few only."""

from __future__ import annotations

import shlex

from evalkit.evidence.values import Compared, Evidence, Flip, Graded
from evalkit.verdict import CandidateVerdict, CellVerdict

from ._rows import Row, asked, severity
from ._text import clean, count

FEW = 3
SHORT = 60  # characters of an id, an answer or a target


def lost(candidate: CandidateVerdict, row: Row, evidence: Evidence) -> list[str]:
    """The most telling samples lost in a row's task, of a domain in the worst of its tasks.

    Nothing where none was lost, or the samples are not at hand.
    """
    cells = asked(candidate, row.cell) if row.cell else _of_domain(candidate, row.unit.domain)
    for cell in cells:
        of = Compared(candidate.name, candidate.against, cell.task)
        # One more than is shown, since a share of them is of samples gained.
        found = evidence.flips(of, FEW + 1)
        fell = [flip for flip in found.shown if flip.delta < 0][:FEW]
        if fell:
            head = f"lost in {clean(cell.task)}, {count(found.lost)} in all:"
            # Of several training seeds, those of the first sample.
            names = fell[0].after.checkpoint, fell[0].before.checkpoint
            return [head, *map(_told, fell), how_to_look(cell.task, *names)]
    return []


def _of_domain(candidate: CandidateVerdict, domain: str) -> list[CellVerdict]:
    cells = [cell for cell in asked(candidate) if cell.domain == domain]
    return sorted(cells, key=lambda cell: (*severity(cell), cell.task))


def _told(flip: Flip) -> str:
    return f"  {_short(flip.id)}: target {_short(flip.target)}; " + "; ".join(
        _graded(each) for each in (flip.before, flip.after)
    )


def _graded(graded: Graded) -> str:
    read = "read nothing" if graded.answer is None else f"read {_short(graded.answer)}"
    return f"{_short(graded.checkpoint)} {read}, {_short(graded.outcome)}"


def how_to_look(task: str, candidate: str, against: str) -> str:
    """The command that shows the samples that a checkpoint lost in a task."""
    cell, other = (shlex.quote(clean(name)) for name in (f"{task}/{candidate}", against))
    return f"evalkit show {cell} --against {other} --lost {FEW}"


def _short(text: str) -> str:
    return clean(text, SHORT) or '""'
