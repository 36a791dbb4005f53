"""Where along a line of training a task's score went down: what a report marks on its curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from evalkit.reporting.cells import Found
from evalkit.series.assembly import FEWEST, Series, assemble
from evalkit.verdict import ChangeNote


def changes(
    found: Sequence[Found], parents: Mapping[str, str], alpha: float = 0.05
) -> list[ChangeNote]:
    """The change points of every task along every line of training of three checkpoints or more.

    Lines that share their beginning may find a change twice: it is told once, by its lowest p.
    """
    told: dict[tuple[str, str], ChangeNote] = {}
    long = [line for line in lines(parents) if len(line) >= FEWEST]
    for task in dict.fromkeys(cell.task for cell in found if long):
        cells = [cell for cell in found if cell.task == task]
        for note in (note for line in long for note in _notes(assemble(cells, line), alpha)):
            known = told.get((note.task, note.checkpoint))
            if known is None or note.p < known.p:
                told[note.task, note.checkpoint] = note
        for cell in cells:
            cell.release()
    return list(told.values())


def lines(parents: Mapping[str, str]) -> Iterator[list[str]]:
    """From each first checkpoint to each last one; `parents` says whom each was trained from."""
    inner = set(parents.values())
    for last in parents:
        if last not in inner:
            yield list(_upwards(last, parents))[::-1]


def _upwards(name: str, parents: Mapping[str, str]) -> Iterable[str]:
    seen: set[str] = set()
    while name in parents and name not in seen:
        seen.add(name)
        yield name
        name = parents[name]


def _notes(found: Sequence[Series], alpha: float) -> Iterator[ChangeNote]:
    from evalkit.stats.trend import change_points

    for series in found:
        for change in [] if series.invalid else change_points(series.linear, alpha):
            yield ChangeNote(
                task=series.task,
                domain=series.domain,
                checkpoint=series.checkpoints[change.index],
                before=series.checkpoints[change.index - 1],
                delta=change.delta,
                p=change.p,
            )
