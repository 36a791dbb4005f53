"""How far a candidate has been asked: task by task, the items of a look or all there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.asking import engine
from evalkit.asking.checkpoint import counted
from evalkit.comparison.arm import Arm
from evalkit.fast.looks import CellPlan, DomainPlan
from evalkit.seat import Seat


@dataclass(frozen=True)
class Sat:
    """One task of a fast gate: the candidate's seat, and the baseline's scores of every item."""

    seat: Seat
    baseline: Arm


class Asked:
    """The looks up to which each task has been asked, and what is to be asked for the next."""

    def __init__(self, plans: Sequence[DomainPlan], sat: Mapping[str, Sat]) -> None:
        self._seats = {task: each.seat for task, each in sat.items()}
        self._looks: dict[str, int] = {}
        self._cells: dict[str, list[CellPlan]] = {}
        for plan in plans:
            for cell in plan.cells:
                self._looks[cell.task] = plan.looks
                self._cells.setdefault(cell.task, []).append(cell)
        self._far = {task: self._known(task) for task in self._cells}
        self._waiting: dict[str, tuple[Seat, int]] = {}  # what the engine is asking

    def enough(self, task: str, look: int) -> bool:
        """Whether the items of a look have been asked."""
        return self._far[task] >= look

    def items(self, task: str, look: int, after: int = 0) -> list[bytes]:
        """The items of a look, but for those of an earlier one."""
        looks = self._looks[task]
        return [
            item
            for cell in self._cells[task]
            for item in cell.items[cell.asked(after, looks) : cell.asked(look, looks)]
        ]

    def seat(self, task: str, look: int) -> Seat:
        """The candidate's seat cut down to the items of a look, or of a later one asked before."""
        look, whole = max(look, self._far[task]), self._seats[task]
        return whole if look > self._looks[task] else self._part(task, look)

    def sitting(self, task: str, look: int) -> engine.Sitting:
        """What is new of a task at a look; nothing, where an earlier run was further."""
        known, seat = self._far[task], self.seat(task, look)
        new: list[bytes] = []
        if known < look:
            new = self.items(task, look, known)
            self._waiting[task] = seat, look
            seat.cell.write_meta(**seat.described(), asked={}, scored={})
        return engine.Sitting(seat.exam.part(new), seat.cell)

    def note(self) -> None:
        """Takes down that what the engine was given has been asked."""
        for task, (seat, look) in self._waiting.items():
            seat.cell.write_meta(asked=seat.asking, **counted(seat))
            self._far[task] = look
        self._waiting = {}

    def _known(self, task: str) -> int:
        """The furthest look of an earlier run; one more than there are, where all was asked."""
        if self._seats[task].asked:
            return self._looks[task] + 1
        looks = range(self._looks[task], 0, -1)
        return next((look for look in looks if self._part(task, look).asked), 0)

    def _part(self, task: str, look: int) -> Seat:
        seat, items = self._seats[task], self.items(task, look)
        if len(items) == len(seat.exam.due):
            return seat
        return replace(seat, exam=seat.exam.part(items))
