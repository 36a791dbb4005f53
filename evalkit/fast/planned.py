"""The plan of a candidate's looks, made of what the store holds, and kept from the first run on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from evalkit.comparison.arm import Floats, item_means
from evalkit.exams.exam import Exam
from evalkit.fast import kept as looks_file
from evalkit.fast.asked import Sat
from evalkit.fast.history import earlier, last_change, values_of, variance
from evalkit.fast.looks import DomainPlan, Known, plan_domain
from evalkit.identity import identity
from evalkit.matrix import Matrix, Row
from evalkit.seat import seating
from evalkit.storage.store import Store, safe


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
            known = [
                part
                for each in weighed or tasks
                for part in _known(matrix, store, each, bool(weighed))
            ]
            plans.append(plan_domain(domain, margin, known, seed=matrix.seed, capped=capped))
        looks_file.keep(path, plans)
    return plans


def _key(matrix: Matrix, row: Row, capped: bool) -> str:
    """The head of a hash over all that a plan is made for."""
    rows = (matrix.row(matrix.baseline), row)
    exams = [
        [exam.label, exam.source, exam.limit, exam.task.epochs, _weight(matrix, exam)]
        + [*_whole(matrix, exam)]
        + [sorted(exam.task.weights.items()), exam.label in matrix.policy.fixed]
        + [identity.key(exam.task, each.checkpoint) for each in rows]
        for exam in matrix.exams
    ]
    whole = [exams, sorted(matrix.policy.margins.items()), matrix.seed, capped]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:8]


def _known(matrix: Matrix, store: Store, sat: Sat, weighed: bool) -> list[Known]:
    """What the store says of a task before the candidate is asked; of weighted strata, of each."""
    exam, items = sat.seat.exam, list(sat.seat.exam.items)
    others = {sat.seat.cell.path, *_paths_of(matrix, store, matrix.baseline)}
    baseline = item_means(values_of(sat.baseline, items))
    history = earlier(store, sat.seat, items, others)
    change = last_change(store, matrix, sat.seat, items)
    found = []
    for share, part in _strata(exam, items):
        units = _units(exam, items, part)
        mean = partial(_of_units, units=units)
        found.append(
            Known(
                exam.label,
                share * _share(matrix, exam) * (_weight(matrix, exam) if weighed else 1.0),
                [[items[place] for place in unit] for unit in units],
                mean(baseline),
                np.array([mean(row) for row in history]).reshape(len(history), len(units)),
                variance(None if change is None else mean(change)),
                exam.label in matrix.policy.fixed,
            )
        )
    return found


def _strata(exam: Exam, items: Sequence[bytes]) -> list[tuple[float, list[int]]]:
    """The places of the items of each stratum that counts, with its share; all of them, else."""
    weights = {name: weight for name, weight in exam.task.weights.items() if weight > 0}
    if not weights:
        return [(1.0, list(range(len(items))))]
    places: dict[str, list[int]] = {name: [] for name in weights}
    for place, item in enumerate(items):
        name = exam.items[item].stratum
        if name in places:
            places[name].append(place)
    whole = sum(weights.values())
    return [(weights[name] / whole, own) for name, own in places.items()]


def _units(exam: Exam, items: Sequence[bytes], places: Sequence[int]) -> list[list[int]]:
    """The places of each unit's items: those of one cluster, or one alone."""
    found: dict[str | int, list[int]] = {}
    for place in places:
        item = items[place]
        found.setdefault(exam.cluster_of(item, exam.items[item]) or place, []).append(place)
    return list(found.values())


def _of_units(values: Floats, units: Sequence[Sequence[int]]) -> Floats:
    """Each unit's mean over its items that are known; NaN where none is."""
    own = values[np.concatenate(units)]
    labels = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    known = ~np.isnan(own)
    count = np.bincount(labels, known, len(units))
    total = np.bincount(labels, np.where(known, own, 0.0), len(units))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _paths_of(matrix: Matrix, store: Store, name: str) -> set[Path]:
    return {s.cell.path for s in seating(matrix, store) if s.row.checkpoint.name == name}


def _weight(matrix: Matrix, exam: Exam) -> float:
    return matrix.policy.weights.get(matrix.joints.judged_as(exam.label), 1.0)


def _whole(matrix: Matrix, exam: Exam) -> tuple[str, ...]:
    """All parts of what an exam is judged as; nothing where it is judged by itself."""
    joint = matrix.joints.of(exam.label)
    return joint.parts if joint else ()


def _share(matrix: Matrix, exam: Exam) -> float:
    """The share of its items in those of all parts of what it is judged as."""
    parts = _whole(matrix, exam)
    items = sum(len(each.due) for each in matrix.exams if each.label in parts)
    return len(exam.due) / items if items else 1.0
