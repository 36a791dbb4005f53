"""Which exams training data are held against: a file's, those named, or all that are at hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from evalkit import plugins
from evalkit.configuration.config import load
from evalkit.configuration.resolve import exams_of
from evalkit.configuration.sections import TaskSection
from evalkit.errors import DataError, EvalkitError, UnknownName
from evalkit.exams.availability import at_hand
from evalkit.exams.exam import Exam, sit


def asked(config: Path | None, names: Sequence[str]) -> tuple[list[Exam], dict[str, str]]:
    """The exams, and of tasks that are left out for want of their data, why.

    Only tasks that are named may be downloaded.  Raises UnknownName, and DataError where the data
    of one of those are not to be had.
    """
    exams = _of_file(config, names) if config else _named(names or plugins.all_plugins("tasks"))
    found: list[Exam] = []
    left_out: dict[str, str] = {}
    for exam in exams:
        named = exam.label in names or exam.task.name in names
        reason = _absent(exam, named)
        if not reason:
            found.append(exam)
        elif named:
            raise DataError(reason)
        else:
            left_out[exam.label] = reason
    if not found:
        raise DataError(
            "no task has its data at hand: name EVALKIT_DATA, or a --config with `data:`"
        )
    return found, left_out


def _of_file(config: Path, names: Sequence[str]) -> list[Exam]:
    labels = {exam.label: exam for exam in exams_of(load(config))}
    for name in names:
        if name not in labels:
            raise UnknownName(f"task of {config.name}", name, labels)
    return [labels[name] for name in names or labels]


def _named(names: Iterable[str]) -> list[Exam]:
    return [exam for name in names for exam in sit(TaskSection(name=name), None, None)]


def _absent(exam: Exam, named: bool) -> str:
    """Why an exam's questions cannot be had; of one that nobody named, without a download."""
    if exam.data is None and not named and not at_hand(exam.task):
        return "its data are not at hand"
    try:
        assert len(exam.due)
    except EvalkitError as error:
        return str(error)
    return ""
