"""One candidate asked look by look: what is asked next, and what each look decides.

Only the new items of domains still undecided are asked.  A decided domain takes no more; the
first that regressed ends the run.  Everything here can be stopped and run again: the looks are
taken anew from the answers there are, and asking goes on where they end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evalkit import engine
from evalkit.asking import totals
from evalkit.comparison.arm import Arm, item_means, load
from evalkit.comparison.measured import BOUNDS
from evalkit.errors import ModelError
from evalkit.events import Note, Notify
from evalkit.fast.history import values_of
from evalkit.fast.looks import CellPlan, DomainPlan
from evalkit.grade import Grade, Grader, by_scorer
from evalkit.run import grade_seat
from evalkit.seat import Seat
from evalkit.stats.clock import Clock, Taken
from evalkit.stats.distributions import FloatArray
from evalkit.stats.missing import MISSING_SHARE
from evalkit.store import Answer
from evalkit.types import Sample, Task


@dataclass(frozen=True)
class Sat:
    """One task of a fast gate: the candidate's seat, and the baseline's scores of every item."""

    seat: Seat
    baseline: Arm


class Undecidable(Exception):
    """Too many samples of a domain are missing."""


class Looking:
    """A candidate's looks, of every domain in step."""

    def __init__(self, plans: Sequence[DomainPlan], sat: Mapping[str, Sat]) -> None:
        self.plans = list(plans)
        self.sat = sat
        self.taken: dict[str, list[Taken]] = {plan.domain: [] for plan in plans}
        self.invalid: dict[str, str] = {}
        self._clocks = {plan.domain: Clock(plan.margin, len(plans)) for plan in plans}
        self._graders = {name: _grader(each.seat.exam.task) for name, each in sat.items()}
        self._asked = {  # items known to have been asked, the first in the plan's order
            cell.task: self._known(cell, plan.looks) for plan in plans for cell in plan.cells
        }
        self._waiting: dict[str, Seat] = {}  # what the engine is asking
        self._round = 1

    def run(self, notify: Notify) -> str:
        """Asks and looks until all is decided; returns what stopped it, if something did."""
        pending = self.next()
        if not pending:
            return ""
        row = next(iter(self.sat.values())).seat.row
        try:
            engine.ask(row.backend, row.checkpoint, pending, notify, self.next)
        except ModelError as error:
            notify(Note(f"error: {error}"))
            for plan in self.undecided:
                self.invalid[plan.domain] = str(error)
            return str(error)
        return ""

    @property
    def undecided(self) -> list[DomainPlan]:
        """The domains that still take items; none once one has regressed."""
        last = {name: looks[-1].found for name, looks in self.taken.items() if looks}
        if "regressed" in last.values():
            return []
        return [
            plan
            for plan in self.plans
            if plan.domain not in self.invalid
            and last.get(plan.domain, "continue") == "continue"
            and len(self.taken[plan.domain]) < plan.looks
        ]

    def next(self) -> list[engine.Sitting]:
        """Takes every look whose answers are in; what has to be asked for the one after."""
        self._note_asked()
        while plans := self.undecided:
            due = {
                cell.task: (cell, cell.asked(self._round, plan.looks))
                for plan in plans
                for cell in plan.cells
            }
            if any(count > self._asked[task] for task, (_, count) in due.items()):
                return [self._sitting(cell, count) for cell, count in due.values()]
            for plan in plans:
                self._take(plan)
            self._round += 1
        return []

    def _note_asked(self) -> None:
        for task, seat in self._waiting.items():
            seat.cell.write_meta(asked=seat.asking, totals=totals(seat))
            self._asked[task] = len(seat.exam.due)
        self._waiting = {}

    def _known(self, cell: CellPlan, looks: int) -> int:
        """How many items an earlier run has asked: all, or those of its last look."""
        counts = [cell.asked(look, looks) for look in range(looks, 0, -1)]
        return next((n for n in (len(cell.items), *counts) if self._seat(cell, n).asked), 0)

    def _seat(self, cell: CellPlan, count: int) -> Seat:
        """The candidate's seat cut down to the first items of the plan."""
        seat = self.sat[cell.task].seat
        if count == len(cell.items):
            return seat
        return replace(seat, exam=seat.exam.part(cell.items[:count]))

    def _sitting(self, cell: CellPlan, count: int) -> engine.Sitting:
        """What is new of a cell at this look; nothing, where an earlier run was further."""
        known = self._asked[cell.task]
        seat = self._seat(cell, max(known, count))
        if known < count:
            self._waiting[cell.task] = seat
            seat.cell.write_meta(**seat.described(), asked={}, scored={})
        return engine.Sitting(seat.exam.part(cell.items[known:count]), seat.cell)

    def _take(self, plan: DomainPlan) -> None:
        try:
            found = [self._differences(cell, plan.looks) for cell in plan.cells]
        except Undecidable as error:
            self.invalid[plan.domain] = str(error)
            return
        looks = {
            variant: plan.look(
                {cell.task: each[variant] for cell, each in zip(plan.cells, found, strict=True)}
            )
            for variant in found[0]
        }
        last = self._round == plan.looks
        self.taken[plan.domain].append(
            self._clocks[plan.domain].take(looks["plain"], looks["worst"], looks["best"], last=last)
        )

    def _differences(self, cell: CellPlan, looks: int) -> dict[str, FloatArray]:
        """Item differences of the items of this look, under each way to fill in what is missing."""
        items = cell.items[: cell.asked(self._round, looks)]
        seat = self._seat(cell, max(len(items), self._asked[cell.task]))
        if not seat.graded(None):
            grade_seat(seat, self._graders[cell.task])
        arm = load(seat.cell, seat.cell.meta(), seat.exam.task.preset)
        arms = (values_of(self.sat[cell.task].baseline, items), values_of(arm, items))
        for name, values in zip(("baseline", "candidate"), arms, strict=True):
            missing = float(np.isnan(values).mean())
            if missing > MISSING_SHARE:
                raise Undecidable(
                    f"{missing:.1%} of the {name}'s samples of {cell.task} are missing (1 % is "
                    "tolerated): run again, and what failed is asked again"
                )
        found = {"plain": item_means(arms[1]) - item_means(arms[0])}
        for variant, fill in BOUNDS.items():
            filled = [
                np.where(np.isnan(values), value, values)
                for values, value in zip(arms, fill, strict=True)
            ]
            found[variant] = filled[1].mean(axis=1) - filled[0].mean(axis=1)
        return found


def _grader(task: Task) -> Grader:
    """The task's grader; what a costly one found is remembered on disk."""
    return by_scorer(task) if task.costly else _remembering(by_scorer(task))


def _remembering(grader: Grader) -> Grader:
    """The grader, asked once about each answer however many looks it is part of."""
    known: dict[tuple[bytes, int, bytes], Grade] = {}

    def grade(sample: Sample, answer: Answer) -> Grade:
        if answer.response.error:
            return grader(sample, answer)
        key = (answer.item, answer.epoch, answer.request)
        if key not in known:
            known[key] = grader(sample, answer)
        return known[key]

    return grade
