"""The fast gate: the baseline in full, then every candidate only as far as it takes to decide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evalkit import identity
from evalkit.comparison.arm import Arm, load
from evalkit.comparison.policy import Policy
from evalkit.errors import ConfigError, StoreError
from evalkit.events import Note, Notify
from evalkit.exam import Exam
from evalkit.fast.looked import verdict_of
from evalkit.fast.looking import Looking, Sat
from evalkit.fast.looks import DomainPlan
from evalkit.fast.planned import plans_of
from evalkit.matrix import Matrix, Row
from evalkit.pipeline import identified, trained
from evalkit.report import of_run
from evalkit.run import Held, hold, remember
from evalkit.seat import Seat, seating
from evalkit.store import Store
from evalkit.verdict import CandidateVerdict, DomainVerdict, Report

FEWEST_ITEMS = 50
"""Below these the normal approximation of a look errs by more than the error it spends."""


def fast_gate(matrix: Matrix, results: Path, notify: Notify, *, capped: bool = True) -> Report:
    """Judges every candidate against the baseline by planned looks, and asks what they need.

    Without `capped` the looks reach up to every item, for when a full run may follow.  Raises
    ConfigError where the config holds something that looks cannot decide.
    """
    judged = tuple(exam for exam in matrix.exams if exam.label not in matrix.policy.off)
    margins = domain_margins(replace(matrix, exams=judged))
    matrix = replace(matrix, exams=tuple(e for e in judged if e.task.domain in margins))
    _check(matrix)
    matrix = identified(trained(identified(matrix), results, notify, make=False))
    matrix = replace(matrix, stages=(), judge=None)
    known = hold(replace(matrix, rows=(matrix.row(matrix.baseline),)), results, notify)
    store = Store(results)
    seats = seating(matrix, store)
    failures = list(known.failures)
    verdicts: list[CandidateVerdict] = []
    for row in matrix.rows:
        if row.checkpoint.name == matrix.baseline:
            continue
        if known.failures:
            verdicts.append(_unmeasured(matrix, row, margins, known.failures[0]))
            continue
        own = [seat for seat in seats if seat.row is row]
        sat = {s.exam.label: Sat(s, _arm(b)) for s, b in zip(own, known.seats, strict=True)}
        looking = Looking(plans_of(matrix, store, sat, margins, capped=capped), sat)
        notify(Note(f"{row.checkpoint.name}: at most {_most(looking.plans)}"))
        failures += filter(None, [looking.run(notify)])
        remember([seat for seat in own if seat.cell.meta()])
        verdicts.append(verdict_of(looking, row.checkpoint.name, matrix.baseline, matrix.policy))
    return of_run(Held(matrix, seats, [], failures), verdicts)


def domain_margins(matrix: Matrix) -> dict[str, float]:
    """The margin of every domain that takes part; raises ConfigError where none has one."""
    policy = matrix.policy
    labels: dict[str, list[str]] = {}
    for exam in matrix.exams:
        labels.setdefault(exam.task.domain, []).append(exam.label)
    found = {domain: _margin(policy, domain, tasks) for domain, tasks in labels.items()}
    kept = {domain: margin for domain, margin in found.items() if margin}
    if not kept:
        raise ConfigError(
            "a fast gate stops when a domain is shown to lie within its margin, and none has one "
            f"above 0: give `gate: {{margins: {{{next(iter(labels))}: 2.0}}}}`, or leave out --fast"
        )
    return kept


def _margin(policy: Policy, domain: str, tasks: list[str]) -> float | None:
    """A task alone in its domain speaks for it."""
    names = (domain, *tasks) if len(tasks) == 1 else (domain,)
    return next((policy.margins[name] for name in names if name in policy.margins), None)


def _check(matrix: Matrix) -> None:
    """Raises ConfigError on what looks cannot decide."""
    if matrix.policy.any_decline:
        raise ConfigError(
            "`fail_on: any-decline` takes all items: a small decline cannot be told early; "
            "leave out --fast"
        )
    if matrix.policy.bounds:
        raise ConfigError(
            "`gate: bounds:` takes all answers: a share of some of them decides nothing; "
            "leave out --fast"
        )
    if len(matrix.rows) < 2:
        raise ConfigError(f"there is nothing to hold against {matrix.baseline}: add a checkpoint")
    asked: dict[str, str] = {}
    for exam in matrix.exams:
        if exam.task.rubric:
            raise ConfigError(
                f"a fast gate does not take judged tasks yet: take the margin of {exam.label}'s "
                f"domain ({exam.task.domain}) away, or leave out --fast"
            )
        _check_items(exam)
        key = identity.key(exam.task, matrix.rows[0].checkpoint)
        if asked.setdefault(key, exam.label) != exam.label:
            raise ConfigError(
                f"{asked[key]} and {exam.label} share their answers: a fast gate takes one of them"
            )


def _check_items(exam: Exam) -> None:
    clusters = [sample.cluster for sample in exam.items.values() if sample.cluster]
    if len(set(clusters)) < len(clusters):
        raise ConfigError(
            f"{exam.label} has clustered items, which a fast gate does not take yet: "
            "leave out --fast"
        )
    if len(exam.due) < FEWEST_ITEMS:
        raise ConfigError(
            f"{exam.label} has {len(exam.due)} items, too few to stop early "
            f"({FEWEST_ITEMS} or more): leave out --fast"
        )


def _arm(seat: Seat) -> Arm:
    meta, preset = seat.cell.meta(), seat.exam.task.preset
    if not seat.cell.scores_path(preset).exists():
        raise StoreError(f"{seat.cell.path}: the baseline has no scores here; run again")
    return load(seat.cell, meta, preset)


def _most(plans: list[DomainPlan]) -> str:
    return ", ".join(f"{plan.cap} of {plan.items} items of {plan.domain}" for plan in plans)


def _unmeasured(
    matrix: Matrix, row: Row, margins: dict[str, float], reason: str
) -> CandidateVerdict:
    """A candidate that was not asked, because the baseline could not be."""
    return CandidateVerdict(
        name=row.checkpoint.name,
        against=matrix.baseline,
        verdict="invalid",
        exit_code=4,
        domains=[
            DomainVerdict(
                domain=domain, verdict="invalid", reason=reason, margin=margin, gates=True
            )
            for domain, margin in margins.items()
        ],
    )
