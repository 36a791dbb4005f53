"""The fast gate: the baseline in full, then every candidate only as far as it takes to decide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evalkit.comparison.arm import Arm
from evalkit.comparison.policy import Policy
from evalkit.comparison.scores import load
from evalkit.errors import ConfigError, StoreError
from evalkit.events import Note, Notify
from evalkit.fast.asked import Sat
from evalkit.fast.checks import check
from evalkit.fast.judged import Judging
from evalkit.fast.looked import verdict_of
from evalkit.fast.looking import Looking
from evalkit.fast.looks import DomainPlan
from evalkit.fast.planned import plans_of
from evalkit.matrix import Matrix, Row
from evalkit.reporting.report import of_run
from evalkit.run import Held, hold, remember
from evalkit.seat import Seat, seating
from evalkit.storage.store import Store
from evalkit.training.pipeline import identified, trained
from evalkit.verdict import CandidateVerdict, DomainVerdict, Report


def fast_gate(matrix: Matrix, results: Path, notify: Notify, *, capped: bool = True) -> Report:
    """Judges every candidate against the baseline by planned looks, and asks what they need.

    Without `capped` the looks reach up to every item, for when a full run may follow.  Raises
    ConfigError where the config holds something that looks cannot decide.
    """
    left_out = matrix.joints.notes
    matrix, margins = _with_margins(matrix)
    check(matrix)
    matrix = identified(trained(identified(matrix), results, notify, make=False))
    rows = tuple(row for row in matrix.rows if not row.checkpoint.on_the_way)
    matrix = replace(matrix, rows=rows, stages=())
    known = hold(replace(matrix, rows=(matrix.row(matrix.baseline),)), results, notify)
    weak = frozenset(note.task for note in known.judges if note.advisory)
    matrix, margins = _with_margins(matrix, weak)
    if matrix.policy.whole_run:
        policy = replace(matrix.policy, candidates=len(matrix.rows) - 1)
        matrix = replace(matrix, policy=policy)
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
        held = {seat.exam.label: seat for seat in known.seats}
        sat = {seat.exam.label: Sat(seat, _arm(held[seat.exam.label])) for seat in own}
        plans = plans_of(matrix, store, sat, margins, capped=capped)
        looking = Looking(plans, sat, matrix.policy, Judging(matrix, results, notify))
        notify(Note(f"{row.checkpoint.name}: at most {_most(looking.plans)}"))
        failures += filter(None, [looking.run(notify)])
        remember([seat for seat in own if seat.cell.meta()])
        verdicts.append(verdict_of(looking, row.checkpoint.name, matrix.baseline, matrix.policy))
    matrix = replace(matrix, notes=(*matrix.notes, *left_out))
    return of_run(Held(matrix, seats, known.judges, failures), verdicts)


def _with_margins(
    matrix: Matrix, advisory: frozenset[str] = frozenset()
) -> tuple[Matrix, dict[str, float]]:
    """The matrix of the tasks that looks can decide about, and the margin of each domain.

    Raises ConfigError where nothing is left.
    """
    known = matrix.joints
    policy = replace(matrix.policy, advisory=advisory).with_parts(known)
    silent = policy.off | policy.advisory
    judged = [exam for exam in matrix.exams if known.judged_as(exam.label) not in silent]
    if not judged and not advisory:
        raise ConfigError(f"nothing is judged: {'; '.join(known.notes)}")
    if not judged:
        raise ConfigError(
            f"the judge of {', '.join(sorted(advisory))} is too weak to decide anything, and "
            "nothing else has a margin: take another judge, or leave out --fast"
        )
    margins = domain_margins(replace(matrix, exams=tuple(judged)))
    kept = tuple(exam for exam in judged if exam.task.domain in margins)
    return replace(matrix, exams=kept), margins


def domain_margins(matrix: Matrix) -> dict[str, float]:
    """The margin of every domain that takes part; raises ConfigError where none has one."""
    policy = matrix.policy
    labels: dict[str, dict[str, None]] = {}
    known = matrix.joints
    for exam in matrix.exams:
        labels.setdefault(exam.task.domain, {})[known.judged_as(exam.label)] = None
    found = {domain: _margin(policy, domain, [*tasks]) for domain, tasks in labels.items()}
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
