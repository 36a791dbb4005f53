"""What a config has judged: every task, but of an exam in parts all of them as one."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.configuration.config import Loaded, Location
from evalkit.configuration.sections import TaskSection
from evalkit.exams.exam import Exam
from evalkit.exams.wholes import Joint, Joints
from evalkit.types import Task

TOGETHER = ("gate", "role", "weight", "items", "epochs")
"""Keys that the parts of an exam which is judged as one must agree in."""


@dataclass(frozen=True)
class Judged:
    """A task, or the parts of an exam as one."""

    label: str
    domain: str
    section: TaskSection  # its own, or that of its first part


def judged_of(exams: tuple[Exam, ...], known: Joints) -> list[Judged]:
    """What is judged, each once, in the order of the file."""
    found: dict[str, Judged] = {}
    for exam in exams:
        joint = known.of(exam.label)
        if joint or exam.label not in known.lone:
            label = joint.label if joint else exam.label
            found.setdefault(label, Judged(label, exam.task.domain, exam.section))
    return [*found.values()]


def check_parts(loaded: Loaded, exams: tuple[Exam, ...], known: Joints) -> None:
    """Raises ConfigError where parts are judged as one, and told not to be."""
    for exam in exams:
        whole = exam.task.part_of
        if whole and exam.task.name not in whole.parts:
            reason = f"{exam.task.name} is no part of what its `part_of` says: mend the task"
            raise loaded.error(place_of(loaded, exam, "name"), reason)
        if exam.label in known.lone and exam.section.gate:
            reason = f"{exam.label} never gates alone: {known.lone[exam.label]}"
            raise loaded.error(place_of(loaded, exam, "gate"), reason)
    for joint in known.whole:
        first, *others = (exam for exam in exams if exam.label in joint.parts)
        for exam in (first, *others):
            _check_alike(loaded, joint, first, exam)


def _check_alike(loaded: Loaded, joint: Joint, first: Exam, other: Exam) -> None:
    if reason := _unlike(first.task, other.task):
        reason = f"{other.label} cannot be judged with {first.label} as one: {reason}"
        raise loaded.error(place_of(loaded, other, "name"), reason)
    for key in TOGETHER:
        if _said(first, key) != _said(other, key):
            names = " and ".join(joint.parts)
            reason = f"{names} are judged as one, {joint.label}: say the same `{key}` of each"
            raise loaded.error(place_of(loaded, other, key), reason)


def _unlike(first: Task, other: Task) -> str:
    """Why two tasks are no parts of one mean over items, as their declarations have it."""
    if other.weights or other.refit:
        return "its score is no mean over items"
    scales = [(task.bounds, task.higher_is_better) for task in (first, other)]
    if scales[0] != scales[1] or first.domain != other.domain:
        return "its scale or its domain is another one"
    return ""


def _said(exam: Exam, key: str) -> object:
    return exam.task.epochs if key == "epochs" else getattr(exam.section, key)


def place_of(loaded: Loaded, exam: Exam, key: str) -> Location:
    """Where a key of the entry stands that names an exam."""
    return ("tasks", loaded.config.tasks.index(exam.section), key)
