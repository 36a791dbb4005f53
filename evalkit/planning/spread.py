"""How much an item's score differs between two checkpoints, and how that is known.

Measured where the results folder holds two checkpoints of the exam, or several answers of one;
else a planning figure.  It is what an exam can show that depends on it, so the source is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from evalkit.comparison import paired
from evalkit.comparison.measured import paired_up
from evalkit.comparison.sides import Joined, Side, Sides
from evalkit.errors import StoreError
from evalkit.planning.planned import planned
from evalkit.stats.cell import Differences
from evalkit.stats.estimate import estimates
from evalkit.stats.samples import variance_shares
from evalkit.types import Task


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard deviation of an item's difference, clusters and small samples allowed for."""

    sd: float
    source: str
    measured: bool = True
    between: float | None = None  # the part of its square that more answers per item leave
    within: float | None = None  # and the part of one answer each, that they divide

    @property
    def sampling_alone(self) -> Spread:
        """What is left where the items are fixed; all of it, where that is not known apart."""
        return self if self.within is None else replace(self, between=0.0)

    def at(self, epochs: int) -> float:
        """What it would be with so many answers per item, as far as that is known."""
        if self.between is None or self.within is None:
            return self.sd
        return math.sqrt(self.between + self.within / epochs)

    def epochs_for(self, sd: float) -> int | None:
        """Answers per item that bring it down to `sd`; None if none would, or it is not known."""
        if self.between is None or self.within is None or self.between > sd**2 - 1e-9:
            return None
        return math.ceil(self.within / (sd**2 - self.between) - 1e-9)


@dataclass(frozen=True, slots=True)
class Transition:
    """One checkpoint's cell of a task beside another's."""

    name: str
    against: str
    candidate: Side | Joined
    baseline: Side | Joined


def spread(
    task: Task, transitions: Sequence[Transition], alone: Mapping[str, Side | Joined]
) -> Spread:
    """The last transition that can be read, else a checkpoint against itself, else the table."""
    for each in reversed(transitions):
        if found := _of_transition(each):
            return found
    for name, side in alone.items():
        if found := _of_repeats(name, side):
            return found
    return _planned(task)


def _of_transition(each: Transition) -> Spread | None:
    with suppress(StoreError):
        found = paired_up(Sides("", "", each.baseline, each.candidate))
        pair = found.pair
        if found.invalid or pair is None:
            return None
        changes = found.changes["plain"]
        variance = estimates([changes])[0].se ** 2 * _effective(changes)
        k = pair.baseline.epochs, pair.candidate.epochs
        asked = f"{len(changes.values):,} items" + (f", k = {max(k)}" if max(k) > 1 else "")
        source = f"measured: {each.name} against {each.against}, {asked}"
        return Spread(math.sqrt(variance), source, True, *_shares(pair, variance))
    return None


def _effective(changes: Differences) -> float:
    """The items that a mean over all alike would need for as small an error."""
    if changes.strata is None:
        return len(changes.values)
    weights = np.asarray(changes.weights) / np.sum(changes.weights)
    counts = np.bincount(changes.strata, minlength=len(weights))
    there = weights > 0
    return float(1 / (np.square(weights[there]) / counts[there]).sum())


def _shares(pair: paired.Pair, variance: float) -> tuple[float | None, float | None]:
    """The variance split by ω² + (s₀² + s₁²)/k, where both sides have two answers or more."""
    values = [pair.baseline.values, pair.candidate.values]
    whole = ~np.isnan(np.concatenate(values, axis=1)).any(axis=1)
    before, after = (arm[whole] for arm in values)
    if min(before.shape[1], after.shape[1]) < 2 or len(before) < 2:
        return None, None
    found = variance_shares(before, after)
    within = found.s0_squared + found.s1_squared
    sampled = found.s0_squared / before.shape[1] + found.s1_squared / after.shape[1]
    return max(0.0, variance - sampled), within


def _of_repeats(name: str, side: Side | Joined) -> Spread | None:
    """2s²/k: how far an unchanged model lies from itself; training adds to that."""
    with suppress(StoreError):
        values = side.arm.values
        whole = values[~np.isnan(values).any(axis=1)]
        if values.shape[1] < 2 or len(whole) < 2 or not (s2 := float(whole.var(1, ddof=1).mean())):
            return None
        k = values.shape[1]
        source = f"measured: {name} against itself, k = {k}; after training it will be more"
        return Spread(math.sqrt(2 * s2 / k), source, True, 0.0, 2 * s2)
    return None


def _planned(task: Task) -> Spread:
    sd, said = planned(task)
    return Spread(sd, f"planned: {said}", False)
