"""From cells to a report: every candidate against the baseline, then against its parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evalkit.comparison.clean import with_clean
from evalkit.comparison.policy import Policy
from evalkit.comparison.refusal import hopeless
from evalkit.errors import ConfigError, StoreError
from evalkit.judging.costs import cost_of
from evalkit.judging.session import tally_of
from evalkit.matrix import Matrix
from evalkit.planning.noise import kept as noted
from evalkit.reporting.assembly import assemble, worst_of
from evalkit.reporting.cells import (
    Found,
    found_of,
    joints_of,
    sides_of,
    stored,
    with_recipes,
    with_wholes,
)
from evalkit.reporting.notes import lineage, notes
from evalkit.run import Held
from evalkit.series.recipe import members, seeds_of
from evalkit.storage.store import Store
from evalkit.training.logged import training_notes
from evalkit.verdict import CandidateVerdict, CellVerdict, Report


def of_run(held: Held, judged: Sequence[CandidateVerdict] | None = None) -> Report:
    """The report of a run; with `judged`, of verdicts that were reached otherwise."""
    from evalkit.series.lines import changes

    matrix = held.matrix
    found = [found_of(seat) for seat in held.seats]
    advisory = frozenset(note.task for note in held.judges if note.advisory)
    policy = replace(matrix.policy, advisory=advisory)
    report = assemble(
        matrix.baseline,
        matrix.pairs if judged is None else (),
        with_recipes(found, matrix.recipes),
        policy,
    )
    candidates = _told_apart(judged or _cleaned(report, found, matrix), matrix)
    verdict, exit_code = worst_of([c for c in candidates if not c.on_the_way], report.scores)
    hopeless_margins = [f"{each.name}: {each.words}" for each in hopeless(report, policy)]
    parents = {row.checkpoint.name: row.checkpoint.parent for row in matrix.rows}
    whole = report.model_copy(
        update={
            "verdict": verdict,
            "exit_code": exit_code,
            "candidates": candidates,
            "checkpoints": [lineage(row.checkpoint, matrix) for row in matrix.rows],
            "changes": changes(_judged(found), parents, policy.alpha),
            "judges": held.judges,
            "noise": [note for seat in held.seats if (note := noted(seat))],
            "training": training_notes(matrix),
            "notes": [*report.notes, *notes(held), *hopeless_margins],
        }
    )
    return _judging(whole, held)


def _judged(found: Sequence[Found]) -> list[Found]:
    """The cells with what exams in parts are judged by in the place of their parts."""
    shown = joints_of(found).shown
    return [cell for cell in with_wholes(found) if cell.task not in shown]


def _cleaned(report: Report, found: Sequence[Found], matrix: Matrix) -> list[CandidateVerdict]:
    """The candidates with what they are on the items that no training data have, where known."""
    if not any(each.touched for tasks in matrix.learned.values() for each in tasks.values()):
        return report.candidates
    sides, conf = sides_of(with_wholes(found)), matrix.policy.conf
    return [
        with_clean(each, sides(each.name, each.against), matrix, conf) for each in report.candidates
    ]


def _told_apart(judged: Sequence[CandidateVerdict], matrix: Matrix) -> list[CandidateVerdict]:
    """The candidates, those that their stage has left behind marked as such."""
    behind = {row.checkpoint.name for row in matrix.rows if row.checkpoint.on_the_way}
    return [
        each.model_copy(update={"on_the_way": True}) if each.name in behind else each
        for each in judged
    ]


def _judging(report: Report, held: Held) -> Report:
    """The report with what judging each cell took, and the flags of its judge."""
    flags = {note.task: note.flags for note in held.judges if note.flags}
    costs = {
        (seat.row.checkpoint.name, seat.exam.label): cost_of(
            tally_of(seat).spent, held.matrix.prices
        )
        for seat in held.seats
        if seat.exam.task.rubric and seat.cell.meta().get("judging")
    }

    def flagged(cell: CellVerdict) -> CellVerdict:
        told = [*cell.flags, *(f for task in (cell.task, *cell.parts) for f in flags.get(task, ()))]
        return cell.model_copy(update={"flags": list(dict.fromkeys(told))})

    candidates = [
        each.model_copy(update={"cells": [flagged(cell) for cell in each.cells]})
        for each in report.candidates
    ]
    scores = [
        score.model_copy(update={"judging": costs.get((score.checkpoint, score.task))})
        for score in report.scores
    ]
    return report.model_copy(update={"candidates": candidates, "scores": scores})


def of_store(store: Store, names: Sequence[str], policy: Policy, *, seeds: bool = False) -> Report:
    """The report on checkpoints that a results folder holds already, the first the baseline.

    With `seeds` a name stands for its training seeds, name-s0 and so on, where there are such.
    Raises StoreError naming what is there when one is not.
    """
    found = list(stored(store))
    there = {cell.checkpoint for cell in found}
    groups = {name: (seeds and seeds_of(name, there)) or members(name) for name in names}
    if any({*groups[names[0]]} & {*groups[name]} for name in names[1:]):
        raise ConfigError(f"{names[0]} is the baseline: name others to hold against it")
    for name in (member for group in groups.values() for member in group):
        if name not in there:
            known = ", ".join(sorted(there)) or "nothing"
            raise StoreError(f"no cells of {name!r} in {store.root}; there are: {known}")
    tasks = {cell.task for cell in found if cell.checkpoint in groups[names[0]]}
    wanted = {member for group in groups.values() for member in group}
    chosen = [cell for cell in found if cell.checkpoint in wanted and cell.task in tasks]
    recipes = {name: group for name, group in groups.items() if len(group) > 1}
    pairs = [(name, names[0]) for name in names[1:]]
    return assemble(names[0], pairs, with_recipes(chosen, recipes), policy)
