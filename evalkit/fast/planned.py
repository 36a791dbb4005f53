"""The plan of a candidate's looks, made of what the store holds, and kept from the first run on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from evalkit import identity
from evalkit.comparison.arm import item_means
from evalkit.exam import Exam
from evalkit.fast import kept as looks_file
from evalkit.fast.history import earlier, last_variance, values_of
from evalkit.fast.looking import Sat
from evalkit.fast.looks import DomainPlan, Known, plan_domain
from evalkit.matrix import Matrix, Row
from evalkit.seat import seating
from evalkit.store import Store, safe


def plans_of(
    matrix: Matrix,
    store: Store,
    sat: Mapping[str, Sat],
    margins: Mapping[str, float],
    *,
    capped: bool,
) -> list[DomainPlan]:
    """The plan kept from an earlier run of this very gate, or else a new one."""
    one = next(iter(sat.values())).seat.row
    path = store.root / "looks" / f"{safe(one.checkpoint.name)}-{_key(matrix, one, capped)}.json"
    plans = looks_file.kept(path)
    if plans is None:
        plans = []
        for domain, margin in margins.items():
            tasks = [each for each in sat.values() if each.seat.exam.task.domain == domain]
            weighed = [each for each in tasks if _weight(matrix, each.seat.exam) > 0]
            known = [_known(matrix, store, each, bool(weighed)) for each in weighed or tasks]
            plans.append(plan_domain(domain, margin, known, seed=matrix.seed, capped=capped))
        looks_file.keep(path, plans)
    return plans


def _key(matrix: Matrix, row: Row, capped: bool) -> str:
    """The head of a hash over all that a plan is made for."""
    rows = (matrix.row(matrix.baseline), row)
    exams = [
        [exam.label, exam.source, exam.limit, exam.task.epochs, _weight(matrix, exam)]
        + [identity.key(exam.task, each.checkpoint) for each in rows]
        for exam in matrix.exams
    ]
    whole = [exams, sorted(matrix.policy.margins.items()), matrix.seed, capped]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:8]


def _known(matrix: Matrix, store: Store, sat: Sat, weighed: bool) -> Known:
    """What the store says of a task before the candidate is asked."""
    exam, items = sat.seat.exam, list(sat.seat.exam.items)
    others = {sat.seat.cell.path, *_paths_of(matrix, store, matrix.baseline)}
    return Known(
        exam.label,
        _weight(matrix, exam) if weighed else 1.0,
        items,
        item_means(values_of(sat.baseline, items)),
        earlier(store, sat.seat, items, others),
        last_variance(store, matrix, sat.seat, items),
    )


def _paths_of(matrix: Matrix, store: Store, name: str) -> set[Path]:
    return {s.cell.path for s in seating(matrix, store) if s.row.checkpoint.name == name}


def _weight(matrix: Matrix, exam: Exam) -> float:
    return matrix.policy.weights.get(exam.label, 1.0)
