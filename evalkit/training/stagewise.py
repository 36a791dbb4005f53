"""A pipeline stage by stage: each checkpoint is asked as soon as there is one, and held against
the baseline and its parent, so that a training that breaks something is seen before the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.events import Note, Notify
from evalkit.matrix import Matrix
from evalkit.reporting import report as reporting
from evalkit.run import Held, hold
from evalkit.terminal.columns import points
from evalkit.training.pipeline import identified, needed_for, trained
from evalkit.verdict import CandidateVerdict, Report, Unit

MOST = 4
"""Units named in a line; the report has them all."""

TOLD = ("regressed", "invalid", "improved")
"""Verdicts worth a word while the pipeline is under way."""


@dataclass(frozen=True)
class Part:
    """A stage, and of the matrix what it takes to judge it."""

    name: str
    matrix: Matrix
    asked: bool  # False: a judge or a reward model, which is only trained
    candidate: str  # who is judged: the stage, or the recipe whose last seed it is; "": nobody

    def regressed(self, report: Report) -> bool:
        """Whether a report says so of the candidate."""
        return any(found.exit_code == 1 for found in _of(report, self.candidate))


@dataclass(frozen=True)
class Outcome:
    """How far a pipeline came."""

    held: Held  # of everything that was made
    stopped: str = ""  # the candidate that regressed
    left: tuple[str, ...] = ()  # stages that were not trained for it


def train_and_judge(
    matrix: Matrix,
    only: Sequence[str],
    results: Path,
    notify: Notify,
    gate: Callable[[Report], None] | None = None,
) -> Outcome:
    """Trains and asks what is missing, and tells what became of each stage.

    With `gate`, which is shown each report and may refuse it, stops at the first that regressed.
    """
    planned = parts(matrix, only)
    for number, part in enumerate(planned, 1):
        if not part.asked:
            trained(identified(part.matrix), results, notify, (part.name,))
            continue
        report = reporting.of_run(hold(part.matrix, results, notify))
        for line in summary(report, part):
            notify(Note(line))
        if gate and part.candidate:
            gate(report)
            if part.regressed(report):
                held = hold(together(matrix, planned[:number]), results, notify)
                left = tuple(each.name for each in planned[number:])
                return Outcome(held, part.candidate, left)
    return Outcome(hold(together(matrix, planned), results, notify))


def parts(matrix: Matrix, only: Sequence[str] = ()) -> list[Part]:
    """The stages asked for (all, if none is named) and those that they take, in order."""
    needed = needed_for(matrix.stages, [*only, *_always(matrix)] if only else ())
    return [_part(matrix, stage.name, {each.name for each in needed}) for stage in needed]


def together(matrix: Matrix, found: Sequence[Part]) -> Matrix:
    """The matrix without the stages that none of these parts takes."""
    kept = {stage.name for part in found for stage in part.matrix.stages}
    gone = {stage.name for stage in matrix.stages} - kept
    return replace(
        matrix,
        rows=tuple(row for row in matrix.rows if row.checkpoint.name not in gone),
        stages=tuple(stage for stage in matrix.stages if stage.name in kept),
        recipes={name: group for name, group in matrix.recipes.items() if not gone & {*group}},
    )


def _always(matrix: Matrix) -> list[str]:
    """The stages that every judgment takes: baseline and judges, where they are trained."""
    names = {matrix.baseline, *(judge.checkpoint.name for judge in matrix.judges)}
    return [stage.name for stage in matrix.stages if stage.name in names]


def _part(matrix: Matrix, name: str, needed: set[str]) -> Part:
    recipe, group = next(
        ((recipe, group) for recipe, group in matrix.recipes.items() if name in group), ("", ())
    )
    complete = bool(group) and name == group[-1] and {*group} <= needed
    who = group if complete else (name,)
    lineage = needed_for(matrix.stages, who)
    names = {matrix.baseline, *(each for stage in lineage for each in (stage.name, stage.parent))}
    asked = any(row.checkpoint.name == name for row in matrix.rows)
    alone = name if asked and not group and name != matrix.baseline else ""
    part = replace(
        matrix,
        rows=tuple(row for row in matrix.rows if row.checkpoint.name in names),
        stages=tuple(needed_for(matrix.stages, [*who, *_always(matrix)])),
        recipes={recipe: group} if complete else {},
    )
    return Part(name, part, asked, recipe if complete else alone)


def summary(report: Report, part: Part) -> Iterator[str]:
    """What became of a stage, a line for each checkpoint that it is held against."""
    for found in _of(report, part.candidate):
        moved = [_units(found, verdict) for verdict in TOLD]
        said = "; ".join(filter(None, moved)) or "nothing is shown to have changed"
        yield f"{found.name} against {found.against}: {said}"


def _of(report: Report, candidate: str) -> list[CandidateVerdict]:
    return [found for found in report.candidates if found.name == candidate]


def _units(found: CandidateVerdict, verdict: str) -> str:
    units: Sequence[Unit] = found.domains or found.cells
    moved = sorted(
        (unit for unit in units if unit.verdict == verdict), key=lambda unit: unit.delta or 0.0
    )
    if verdict == "improved":
        moved.reverse()
    named = [f"{u.domain}{'' if u.delta is None else f' {points(u.delta)}'}" for u in moved[:MOST]]
    more = [f"{len(moved) - MOST} more"] if len(moved) > MOST else []
    return f"{verdict}: {', '.join([*named, *more])}" if moved else ""
