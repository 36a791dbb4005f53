"""One candidate asked look by look: what is asked next, and what each look decides.

Only the new items of domains still undecided are asked.  A decided domain takes no more; the
first that regressed, or the first bound that is broken, ends the run.  Everything here can be
stopped and run again: the looks are taken anew from the answers there are, and asking goes on
where they end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evalkit.asking import engine
from evalkit.comparison.arm import Arm, Floats
from evalkit.comparison.bounds import broken
from evalkit.comparison.joining import joined
from evalkit.comparison.paired import BOUNDS
from evalkit.comparison.policy import Policy
from evalkit.comparison.remedy import remedy
from evalkit.comparison.scores import load
from evalkit.errors import EvalkitError, ModelError
from evalkit.events import Note, Notify
from evalkit.exams.wholes import joints
from evalkit.fast.asked import Asked, Sat
from evalkit.fast.history import rows_of, values_of
from evalkit.fast.judged import Judging
from evalkit.fast.looks import CellPlan, DomainPlan
from evalkit.grading.grade import Grade, Grader, by_scorer
from evalkit.run import grade_seat
from evalkit.seat import Seat
from evalkit.stats.clock import Clock, Taken
from evalkit.stats.missing import MISSING_SHARE
from evalkit.storage.store import Answer
from evalkit.types import Sample, Task


class Undecidable(Exception):
    """Too many samples of a domain are missing."""


class Looking:
    """A candidate's looks, of every domain in step."""

    def __init__(
        self,
        plans: Sequence[DomainPlan],
        sat: Mapping[str, Sat],
        policy: Policy,
        judging: Judging | None = None,
    ) -> None:
        self.plans = list(plans)
        self.sat = sat
        self.policy = policy
        self.judging = judging
        self.taken: dict[str, list[Taken]] = {plan.domain: [] for plan in plans}
        self.invalid: dict[str, str] = {}
        self.broken: dict[str, dict[str, str]] = {}  # task -> rate -> which bound, in words
        self.joints = joints({task: each.seat.exam.task.part_of for task, each in sat.items()})
        tested = len(plans) * policy.candidates
        self._clocks = {
            plan.domain: Clock(plan.margin, tested, enough=plan.enough) for plan in plans
        }
        self._graders = {
            task: _grader(each.seat.exam.task)
            for task, each in sat.items()
            if not each.seat.exam.task.rubric
        }
        self._asked = Asked(plans, sat)
        self._round = 1

    def run(self, notify: Notify) -> str:
        """Asks and looks until all is decided; returns what stopped it, if something did."""
        row = next(iter(self.sat.values())).seat.row
        judged = len(self._graders) < len(self.sat)
        try:
            while pending := self.next():
                if judged:  # the judge comes after the checkpoint has left the device
                    engine.ask(row.backend, row.checkpoint, pending, notify)
                else:
                    engine.ask(row.backend, row.checkpoint, pending, notify, self.next)
        except ModelError as error:
            notify(Note(f"error: {error}"))
            for plan in self.undecided:
                self.invalid[plan.domain] = str(error)
            return str(error)
        return ""

    @property
    def undecided(self) -> list[DomainPlan]:
        """The domains that still take items; none once one has regressed or broken a bound."""
        last = {name: looks[-1] for name, looks in self.taken.items() if looks}
        if self.broken or any(taken.found == "regressed" for taken in last.values()):
            return []
        return [
            plan
            for plan in self.plans
            if plan.domain not in self.invalid
            and not (plan.domain in last and _decided(last[plan.domain]))
        ]

    def next(self) -> list[engine.Sitting]:
        """Takes every look whose answers are in; what has to be asked for the one after."""
        self._asked.note()
        while plans := self.undecided:
            tasks = [task for plan in plans for task in _tasks(plan)]
            if not all(self._asked.enough(task, self._round) for task in tasks):
                return [self._asked.sitting(task, self._round) for task in tasks]
            for plan in plans:
                self._take(plan)
            self._round += 1
        return []

    def _take(self, plan: DomainPlan) -> None:
        try:
            arms = {task: self._graded(task) for task in _tasks(plan)}
        except Undecidable as error:
            self.invalid[plan.domain] = str(error)
            return
        found = [self._samples(cell, arms[cell.task], plan.looks) for cell in plan.cells]
        looks = {variant: plan.look([each[variant] for each in found]) for variant in found[0]}
        taken = self._clocks[plan.domain].take(
            looks["plain"], looks["worst"], looks["best"], last=self._round == plan.looks
        )
        self.taken[plan.domain].append(taken)
        judged: dict[str, list[str]] = {}
        for task in arms:
            judged.setdefault(self.joints.judged_as(task), []).append(task)
        for name, tasks in judged.items():
            arm = joined([arms[task] for task in tasks]) if len(tasks) > 1 else arms[tasks[0]]
            self._hold_to_bounds(name, tasks, plan, arm, ended=_decided(taken))

    def _hold_to_bounds(
        self, task: str, parts: Sequence[str], plan: DomainPlan, arm: Arm, *, ended: bool
    ) -> None:
        """A bound is broken if the share of what was asked breaks it at the end, or cannot help
        but break it: where so many ended so that they break it whatever the rest would do.
        """
        exams = [self.sat[part].seat.exam for part in parts]
        due = None if ended else sum(len(exam.items) * exam.task.epochs for exam in exams)
        found = broken(arm, task, plan.domain, self.policy, due)
        if found:
            self.broken[task] = found

    def _graded(self, task: str) -> Arm:
        """The candidate's scores of this look's items; raises Undecidable."""
        seat = self._asked.seat(task, self._round)
        self._grade(task, seat)
        arm = load(seat.cell, seat.cell.meta(), seat.exam.task.preset)
        items = self._asked.items(task, self._round)
        arms = {"baseline": self.sat[task].baseline, "candidate": arm}
        for name, side in arms.items():
            missing = float(np.isnan(values_of(side, items)).mean())
            if missing > MISSING_SHARE:
                raise Undecidable(
                    f"{missing:.1%} of the {name}'s samples of {task} are missing (1 % is "
                    f"tolerated): {remedy(side)}"
                )
        return arm.take(rows_of(arm, items))

    def _grade(self, task: str, seat: Seat) -> None:
        who = self.judging.who if self.judging and task not in self._graders else None
        if seat.graded(who):
            return
        grader = self._graders.get(task)
        if grader is None and self.judging:
            grader = self.judging.grader(seat)
        if grader is None:
            raise EvalkitError(f"{task} is judged: name a judge in the config")
        grade_seat(seat, grader, who)

    def _samples(self, cell: CellPlan, arm: Arm, looks: int) -> dict[str, tuple[Floats, Floats]]:
        """Both sides' samples of a look, under each way to fill in what is missing."""
        items = cell.items[: cell.asked(self._round, looks)]
        arms = [values_of(side, items) for side in (self.sat[cell.task].baseline, arm)]
        found = {"plain": (arms[0], arms[1])}
        for variant, fill in BOUNDS.items():
            before, after = (
                np.where(np.isnan(values), value, values)
                for values, value in zip(arms, fill, strict=True)
            )
            found[variant] = before, after
        return found


def _decided(taken: Taken) -> bool:
    return taken.found != "continue" or taken.last


def _tasks(plan: DomainPlan) -> list[str]:
    return list(dict.fromkeys(cell.task for cell in plan.cells))


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
