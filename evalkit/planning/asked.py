"""What a plan is about: every task, and every exam that is asked in parts and judged as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalkit.exams.exam import Exam
from evalkit.exams.wholes import Joints
from evalkit.types import Task


@dataclass(frozen=True, slots=True)
class Asked:
    """A task, or an exam in parts."""

    label: str
    exams: tuple[Exam, ...]  # the task alone, or all parts
    whole: bool = False

    @property
    def domain(self) -> str:
        """The skill that it measures."""
        return self.exams[0].task.domain

    @property
    def task(self) -> Task:
        """The task, or what its parts would be as one."""
        first = self.exams[0].task
        return replace(first, name=self.label) if self.whole else first

    @property
    def parts(self) -> tuple[str, ...]:
        """What it is asked as; nothing where it is a task."""
        return tuple(exam.label for exam in self.exams) if self.whole else ()


def units(exams: Sequence[Exam], known: Joints) -> list[Asked]:
    """Every task, and before the first of its parts each exam that is asked in parts."""
    found: dict[str, Asked] = {}
    for exam in exams:
        if joint := known.of(exam.label):
            parts = tuple(each for each in exams if each.label in joint.parts)
            found.setdefault(joint.label, Asked(joint.label, parts, whole=True))
        found[exam.label] = Asked(exam.label, (exam,))
    return [*found.values()]
