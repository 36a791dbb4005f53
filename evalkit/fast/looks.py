"""The plan of a fast gate: which items are asked in which order, and how many at each look.

All of it is fixed before the candidate is asked its first question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.clock import domain_look
from evalkit.stats.distributions import FloatArray
from evalkit.stats.power import n_required
from evalkit.stats.sequential import (
    Look,
    item_order,
    look_count,
    merged,
    post_stratified,
    strata_of,
)
from evalkit.stats.strata import Labels, stratified


@dataclass(frozen=True)
class Known:
    """What is known of one task before the candidate is asked."""

    task: str
    weight: float
    items: Sequence[bytes]
    baseline: FloatArray  # a score per item
    history: FloatArray  # a row per earlier checkpoint, a column per item
    variance: float  # of an item's difference, from the last transition


@dataclass(frozen=True)
class CellPlan:
    """One task: its items in the order of asking, each with its stratum."""

    task: str
    weight: float
    items: tuple[bytes, ...]  # all of them: the strata's sizes are known
    strata: Labels  # of each item
    cap: int  # how many are asked at most
    flip: float  # the prior rate of change
    history: int  # earlier checkpoints that the strata are made from

    def asked(self, look: int, looks: int) -> int:
        """How many items have been asked at a look, counted from 1."""
        return math.ceil(self.cap * min(look, looks) / looks)

    def look(self, differences: FloatArray) -> Look:
        """The post-stratified estimate from the first items' differences; NaN is missing."""
        labels, known = self.strata[: len(differences)], ~np.isnan(differences)
        count = int(self.strata.max()) + 1

        def summed(values: FloatArray) -> FloatArray:
            return np.bincount(labels[known], values, minlength=count).astype(float)

        change = differences[known]
        strata = strata_of(
            np.bincount(self.strata, minlength=count),
            summed(np.ones(len(change))),
            summed(change),
            summed(np.square(change)),
        )
        return post_stratified(merged(strata), self.cap, self.flip)


@dataclass(frozen=True)
class DomainPlan:
    """One domain: its margin, its cells, and the number of its looks."""

    domain: str
    margin: float
    looks: int
    cells: tuple[CellPlan, ...]

    @property
    def items(self) -> int:
        """All the items there are."""
        return sum(len(cell.items) for cell in self.cells)

    @property
    def cap(self) -> int:
        """The most that are asked."""
        return sum(cell.cap for cell in self.cells)

    def asked(self, look: int) -> int:
        """How many items have been asked at a look."""
        return sum(cell.asked(look, self.looks) for cell in self.cells)

    def look(self, differences: Mapping[str, FloatArray]) -> Look:
        """The estimate of the domain's mean from each task's first items."""
        found = [cell.look(differences[cell.task]) for cell in self.cells]
        return domain_look(found, [cell.weight for cell in self.cells])


def plan_domain(
    domain: str, margin: float, tasks: Sequence[Known], *, seed: int = 0, capped: bool = True
) -> DomainPlan:
    """The plan of one domain; without `capped` the looks are laid out up to every item."""
    sizes = [len(task.items) for task in tasks]
    caps = sizes
    if capped:
        caps = item_caps(
            sizes, [task.weight for task in tasks], [task.variance for task in tasks], margin
        )
    cells = tuple(_cell(task, cap, seed) for task, cap in zip(tasks, caps, strict=True))
    return DomainPlan(domain, margin, look_count(sum(sizes)), cells)


def item_caps(
    sizes: Sequence[int], weights: Sequence[float], variances: Sequence[float], margin: float
) -> list[int]:
    """Items of each cell after which nothing is gained: n_j ∝ w_j with Σw_j²σ_j²/n_j ≤ (m/2z)².

    For one cell this is min(N, ⌈(2z)²σ²/m²⌉).  A cell too small for its share gives all it has,
    and the others make up for it as far as they can.
    """
    whole = sum(weights)
    shares = [weight / whole for weight in weights]
    needed = sum(
        w * n_required(v, margin, power=0.95) for w, v in zip(shares, variances, strict=True)
    )

    def spread(scale: float) -> float:
        rows = zip(sizes, shares, variances, strict=True)
        return sum(w**2 * v / min(n, scale * w) for n, w, v in rows)

    goal = sum(w * v for w, v in zip(shares, variances, strict=True)) / needed
    low, high = float(needed), max(n / w for n, w in zip(sizes, shares, strict=True))
    if low < high and spread(low) > goal * (1 + 1e-9):
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if spread(middle) > goal else (low, middle)
        low = high
    return [min(n, math.ceil(low * w - 1e-6)) for n, w in zip(sizes, shares, strict=True)]


def _cell(task: Known, cap: int, seed: int) -> CellPlan:
    labels = stratified(task.baseline, task.history)
    names = [item.hex() for item in task.items]
    groups: dict[str, list[str]] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        groups.setdefault(str(label), []).append(name)
    order = item_order(groups, seed)
    label_of = dict(zip(names, labels.tolist(), strict=True))
    return CellPlan(
        task.task,
        task.weight,
        tuple(bytes.fromhex(name) for name in order),
        np.array([label_of[name] for name in order], dtype=np.intp),
        cap,
        task.variance,
        len(task.history),
    )
