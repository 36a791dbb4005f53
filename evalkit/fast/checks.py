"""What looks cannot decide, told before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evalkit.comparison.policy import EVERYWHERE
from evalkit.errors import ConfigError
from evalkit.exams.exam import Exam
from evalkit.identity import identity
from evalkit.matrix import Matrix

FEWEST_UNITS = 50
"""Below these the normal approximation of a look errs by more than the error it spends."""

INSTEAD = "leave out --fast"


def check(matrix: Matrix) -> None:
    """Raises ConfigError on what looks cannot decide; the matrix has the tasks that take part."""
    if matrix.policy.any_decline:
        raise ConfigError(
            "`fail_on: any-decline` takes all items: a small decline cannot be told early; "
            f"{INSTEAD}"
        )
    if len(matrix.rows) < 2:
        raise ConfigError(f"there is nothing to hold against {matrix.baseline}: add a checkpoint")
    _check_bounds(matrix)
    known = matrix.joints
    judged: dict[str, list[Exam]] = {}
    for exam in matrix.exams:
        judged.setdefault(known.judged_as(exam.label), []).append(exam)
    for name, parts in judged.items():
        _check_exam(name, parts)
    asked: dict[str, str] = {}
    for exam in matrix.exams:
        key = identity.key(exam.task, matrix.rows[0].checkpoint)
        if asked.setdefault(key, exam.label) != exam.label:
            raise ConfigError(
                f"{asked[key]} and {exam.label} share their answers: a fast gate takes one of them"
            )


def _check_bounds(matrix: Matrix) -> None:
    """A bound on what is not asked would be kept by everybody."""
    known = matrix.joints
    names = ((known.judged_as(exam.label), exam.task.domain) for exam in matrix.exams)
    asked = {name for each in names for name in each}
    for rate, limits in matrix.policy.bounds.items():
        for name in sorted(limits.keys() - asked - {EVERYWHERE}):
            raise ConfigError(
                f"`gate: bounds: {rate}: {name}`: a fast gate asks only domains that have a "
                f"margin; give it one, or {INSTEAD}"
            )


def _check_exam(name: str, parts: Sequence[Exam]) -> None:
    """Of an exam in parts the units of all count, which are drawn as strata of it."""
    units, items = sum(_units(exam, exam.items) for exam in parts), sum(len(e.due) for e in parts)
    for exam in parts:
        _check_design(exam)
    if units < FEWEST_UNITS:
        what = "items" if units == items else "clusters of items"
        raise ConfigError(
            f"{name} has {units} {what}, too few to stop early ({FEWEST_UNITS} or more): {INSTEAD}"
        )


def _check_design(exam: Exam) -> None:
    if exam.task.refit:
        raise ConfigError(
            f"the headline of {exam.label} is fitted, and takes all items: take the margin of its "
            f"domain ({exam.task.domain}) away, or {INSTEAD}"
        )
    for stratum, weight in exam.task.weights.items():
        own = [item for item, sample in exam.items.items() if sample.stratum == stratum]
        if weight > 0 and _units(exam, own) < 2:
            raise ConfigError(
                f"{exam.label} has {len(own)} items of its stratum {stratum!r}, and takes two of "
                "each that counts: ask more items"
            )


def _units(exam: Exam, items: Iterable[bytes]) -> int:
    """How many of these are independent: clusters, or items alone."""
    return len({exam.cluster_of(item, exam.items[item]) or item for item in items})
