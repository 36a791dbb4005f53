"""The plan of a fast gate: which items are asked in which order, and how many at each look.

All of it is fixed before the candidate is asked its first question.  What is drawn are units: an
item, or a cluster of items, which is asked whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Floats, item_means
from evalkit.fast.caps import unit_caps
from evalkit.stats.clock import domain_look
from evalkit.stats.power import variance_for
from evalkit.stats.samples import sampling_variances
from evalkit.stats.sequential import (
    Look,
    item_order,
    look_count,
    merged,
    post_stratified,
    strata_of,
)
from evalkit.stats.strata import Labels, stratified

FEWEST = 2
"""Units of a cell that any look sees: of one, no variance can be told."""


@dataclass(frozen=True)
class Known:
    """What is known of one task, or of one of its weighted strata, before anything is asked."""

    task: str
    weight: float
    units: Sequence[Sequence[bytes]]  # the items of each
    baseline: Floats  # a score per unit
    history: Floats  # a row per earlier checkpoint
    variance: float  # of a unit's difference, from the last transition
    fixed: bool = False  # whether the items are fixed, not a sample of others


@dataclass(frozen=True)
class CellPlan:
    """One task, or one of its strata: its units in the order of asking, each with its stratum."""

    task: str
    weight: float
    items: tuple[bytes, ...]  # all of them: the strata's sizes are known
    sizes: tuple[int, ...]  # items of each unit, one unit after the other
    strata: Labels  # of each unit, for the estimate
    cap: int  # how many units are asked at most
    flip: float  # the prior rate of change
    history: int  # earlier checkpoints that the strata are made from
    fixed: bool = False

    def asked(self, look: int, looks: int) -> int:
        """How many items have been asked at a look, counted from 1; none before the first."""
        if not look:
            return 0
        units = max(math.ceil(self.cap * min(look, looks) / looks), min(FEWEST, self.cap))
        return int(self._ends[units - 1])

    def look(self, baseline: Floats, candidate: Floats) -> Look:
        """The post-stratified estimate from both sides' samples, the first items × k."""
        count, size = int(self.strata.max()) + 1, len(self.items) / len(self.sizes)
        change = self._units(item_means(candidate) - item_means(baseline)) / size
        known = np.flatnonzero(~np.isnan(change))

        def summed(values: Floats) -> Floats:
            return np.bincount(self.strata[known], values[known], count).astype(float)

        strata = strata_of(
            np.bincount(self.strata, minlength=count),
            summed(np.ones(len(change))),
            summed(change),
            summed(np.square(change)),
            summed(self._within(baseline, candidate) / size**2) if self.fixed else None,
        )
        return post_stratified(merged(strata), self.cap, self.flip)

    def _units(self, values: Floats) -> Floats:
        """The total of each unit's items; of what is missing, as of the rest of its unit."""
        labels = self._labels[: len(values)]
        there = ~np.isnan(values)
        total = np.bincount(labels, np.where(there, values, 0.0))
        known = np.bincount(labels, there)
        size = np.array(self.sizes[: len(total)])
        return np.where(known > 0, total * size / np.maximum(known, 1), np.nan)

    def _within(self, baseline: Floats, candidate: Floats) -> Floats:
        labels = self._labels[: len(baseline)]
        clusters = labels if len(self.sizes) < len(self.items) else None
        return sampling_variances(baseline, candidate, clusters)

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        return np.cumsum(self.sizes)

    @cached_property
    def _labels(self) -> NDArray[np.intp]:
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


@dataclass(frozen=True)
class DomainPlan:
    """One domain: its margin, its cells, and the number of its looks."""

    domain: str
    margin: float
    looks: int
    cells: tuple[CellPlan, ...]
    enough: float = 0.0  # the variance at which no more need be asked; 0: there is none

    @property
    def items(self) -> int:
        """All the items there are."""
        return sum(len(cell.items) for cell in self.cells)

    @property
    def cap(self) -> int:
        """The most that are asked."""
        return self.asked(self.looks)

    def asked(self, look: int) -> int:
        """How many items have been asked at a look."""
        return sum(cell.asked(look, self.looks) for cell in self.cells)

    def look(self, samples: Sequence[tuple[Floats, Floats]]) -> Look:
        """The estimate of the domain's mean from both sides' first samples of each cell."""
        found = [cell.look(*both) for cell, both in zip(self.cells, samples, strict=True)]
        return domain_look(found, [cell.weight for cell in self.cells])


def plan_domain(
    domain: str, margin: float, tasks: Sequence[Known], *, seed: int = 0, capped: bool = True
) -> DomainPlan:
    """The plan of one domain; without `capped` the looks are laid out up to every item."""
    sizes = [len(task.units) for task in tasks]
    caps = sizes
    if capped:
        caps = unit_caps(
            sizes, [task.weight for task in tasks], [task.variance for task in tasks], margin
        )
    cells = tuple(_cell(task, cap, seed) for task, cap in zip(tasks, caps, strict=True))
    enough = variance_for(margin) if capped else 0.0
    return DomainPlan(domain, margin, look_count(sum(sizes)), cells, enough)


def _cell(task: Known, cap: int, seed: int) -> CellPlan:
    """A unit goes by its first item; the strata are of what is known of units."""
    labels = stratified(task.baseline, task.history)
    names = [min(unit).hex() for unit in task.units]
    groups: dict[str, list[str]] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        groups.setdefault(str(label), []).append(name)
    place = {name: number for number, name in enumerate(names)}
    order = [place[name] for name in item_order(groups, seed)]
    units = [sorted(task.units[number]) for number in order]
    return CellPlan(
        task.task,
        task.weight,
        tuple(item for unit in units for item in unit),
        tuple(map(len, units)),
        labels[order],
        cap,
        task.variance,
        len(task.history),
        task.fixed,
    )
