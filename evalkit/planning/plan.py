"""What a run could show and what it would take, before anything is spent.

The formulas are those of `evalkit.stats.power`; the spread they need is measured where the
results folder has it (`evalkit.planning.spread`), and every figure says where it is from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.comparison.policy import Policy
from evalkit.comparison.refusal import LEAST_CHANCE
from evalkit.exams.exam import Exam
from evalkit.judging.panel import Panel
from evalkit.matrix import Matrix
from evalkit.planning.asked import Asked, units
from evalkit.planning.effort import NOTHING, Effort, effort
from evalkit.planning.spread import Spread, spread
from evalkit.planning.stored import Shelf, effective, items_of, shelf
from evalkit.stats.power import (
    mde_regressed,
    n_required,
    probability_of_pass,
    suggested_margin,
)

OFTEN, SURELY = 0.80, 0.97


@dataclass(frozen=True, slots=True)
class Needs:
    """What an unchanged model needs to pass a margin so often."""

    power: float
    items: int
    epochs: int | None  # answers per item instead; None: not known, or none would do


@dataclass(frozen=True, slots=True)
class UnitPlan:
    """What a task or a domain can show; all but counts as fractions of the scale."""

    name: str
    domain: str
    n: int  # items; of a domain those of its tasks
    se: float
    mde80: float  # smallest decline that one test of this unit alone finds 80 % of times
    mde80_family: float  # and that the whole family of tests calls regressed
    suggested_margin: float  # an unchanged model passes it 97 % of times
    margin: float | None = None
    gates: bool = False
    p_pass: float | None = None  # P(pass | nothing changed)
    needs: tuple[Needs, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan(UnitPlan):
    """A task: its spread and its effort besides."""

    role: str  # gates | detects | off
    parts: tuple[str, ...]  # the tasks whose items it has; they are displayed only
    shown: str  # why it is displayed only, where its role does not say so
    epochs: int
    sd: float  # of an item's difference
    source: str  # of that
    between: float | None  # ω², the part of sd² that more answers per item leave
    within: float | None  # s₀² + s₁², of one answer each: what they divide
    effort: Effort  # of an exam in parts nothing: it is that of its parts


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run, planned."""

    baseline: str
    checkpoints: int
    tasks: tuple[TaskPlan, ...]
    domains: tuple[UnitPlan, ...]
    p_pass: float | None  # P(a candidate passes all that gates | nothing changed)
    impossible: tuple[str, ...]  # margins that are refused as a gate, in words


def plan(matrix: Matrix, results: Path) -> Plan:
    """The plan of a matrix, given what the results folder holds; asks and trains nothing."""
    if matrix.policy.whole_run:
        policy = replace(matrix.policy, candidates=max(1, len(matrix.pairs)))
        matrix = replace(matrix, policy=policy)
    known = matrix.joints
    policy = matrix.policy.with_parts(known)
    found = shelf(matrix, results)
    planned = units(matrix.exams, known)
    groups: Groups = {}
    for unit in planned:
        if unit.label not in policy.off:
            groups.setdefault(unit.domain, []).append(unit.label)
    tasks = [_task(unit, groups, policy, found) for unit in planned]
    domains = [_domain(name, groups, policy, tasks) for name in groups]
    gating = [*domains, *(t for t in tasks if t.gates and len(groups[t.domain]) > 1)]
    chances = [unit.p_pass for unit in gating if unit.gates and unit.p_pass is not None]
    return Plan(
        matrix.baseline,
        len(matrix.rows),
        tuple(tasks),
        tuple(domains),
        math.prod(chances) if chances else None,
        tuple(_impossible(gating, groups, policy)),
    )


Groups = dict[str, list[str]]
"""Domain -> what is judged in it."""


def _task(unit: Asked, groups: Groups, policy: Policy, found: Shelf) -> TaskPlan:
    task, label, domain = unit.task, unit.label, unit.domain
    off, fixed = label in policy.off, label in policy.fixed
    counts = [items_of(exam) for exam in unit.exams]
    alone = found.together(unit.exams) if unit.whole else found.alone(unit.exams[0])
    known = spread(task, found.transitions(alone), alone)
    known = known.sampling_alone if fixed else known
    sd = known.at(task.epochs)
    members = groups.get(domain, [])
    margin = None if off else _margin(label, domain, members, policy)
    gates = not off and label in policy.gating_cells and margin is not None
    n = sum(counts)
    alike = n if unit.whole else effective(unit.exams[0], n)
    planned = _unit(
        UnitPlan(label, domain, n, sd / math.sqrt(alike), 0, 0, 0, margin, gates),
        cells=max(1, len(members)),
        domains=max(1, len(groups)) * policy.candidates,
        known=known,
    )
    return TaskPlan(
        **{name: getattr(planned, name) for name in UnitPlan.__dataclass_fields__},
        role="off" if off else "gates" if gates else "detects",
        parts=unit.parts,
        shown=policy.shown.get(label, ""),
        epochs=task.epochs,
        sd=sd,
        source=known.source + ("; items fixed" if fixed else ""),
        between=known.between,
        within=known.within,
        effort=NOTHING if unit.whole else _effort(unit.exams[0], n, found),
    )


def _effort(exam: Exam, n: int, found: Shelf) -> Effort:
    return effort(
        exam,
        n,
        found.seats(exam),
        found.unknown,
        found.past(exam),
        Panel.of(found.matrix),
        found.judging(exam),
    )


def _domain(name: str, groups: Groups, policy: Policy, tasks: Sequence[TaskPlan]) -> UnitPlan:
    """A domain: SE² = Σw²SE² over its tasks, its alarm a pooled one."""
    members = groups[name]
    cells = [task for task in tasks if task.domain == name and task.role != "off"]
    weights = [policy.weights.get(cell.name, 1.0) for cell in cells]
    total = sum(weights) or float(len(weights))
    shares = [(weight if sum(weights) else 1.0) / total for weight in weights]
    se = math.sqrt(sum((w * cell.se) ** 2 for w, cell in zip(shares, cells, strict=True)))
    n = sum(cell.n for cell in cells)
    margin = _margin(name, name, members, policy)
    # p_D is twice the smaller of two p-values where there are several cells
    looks = len(groups) * policy.candidates * (1 if len(members) == 1 else 2)
    unit = UnitPlan(name, name, n, se, 0, 0, 0, margin, margin is not None)
    return _unit(unit, cells=1, domains=looks)


def _unit(unit: UnitPlan, *, cells: int, domains: int, known: Spread | None = None) -> UnitPlan:
    """The unit with what follows from its standard error and its margin."""
    se, margin = unit.se, unit.margin
    return replace(
        unit,
        mde80=mde_regressed(se, 0.0),
        mde80_family=mde_regressed(se, margin or 0.0, cells_in_domain=cells, n_domains=domains),
        suggested_margin=suggested_margin(se),
        p_pass=None if margin is None else probability_of_pass(margin, se),
        needs=tuple(_needs(unit, power, known) for power in (OFTEN, SURELY)) if margin else (),
    )


def _needs(unit: UnitPlan, power: float, known: Spread | None) -> Needs:
    variance = unit.se**2 * unit.n
    items = n_required(variance, unit.margin or 0.0, power=power)
    sd = math.sqrt(variance * unit.n / items)  # that these items would need
    return Needs(power, items, known.epochs_for(sd) if known else None)


def _margin(unit: str, domain: str, members: Sequence[str], policy: Policy) -> float | None:
    """As in the gate itself: a task alone in its domain is its domain."""
    names = (unit, domain, members[0]) if len(members) == 1 else (unit,)
    return next((policy.margins[name] for name in names if name in policy.margins), None)


def _impossible(units: Sequence[UnitPlan], groups: Groups, policy: Policy) -> list[str]:
    said = []
    for unit in units:
        own = groups[unit.domain]
        forced = policy.forced.intersection([unit.name, *(own if len(own) == 1 else [])])
        told = unit.name in policy.gating_cells or (len(own) == 1 and own[0] in policy.gating_cells)
        chance = unit.p_pass if unit.gates and unit.margin else None
        if chance is not None and chance < LEAST_CHANCE and not forced and not told:
            said.append(
                f"{unit.name}: a margin of {100 * (unit.margin or 0):g} points is refused: an "
                f"unchanged model passes it in {chance:.0%} of runs; "
                f"{100 * unit.suggested_margin:g} points would do, or "
                f"{unit.needs[-1].items:,} items"
            )
    return said
