"""Checkpoints in the order of their training, over the tasks that they all sat.

Every checkpoint of a series answered the same items, so a task is one matrix: checkpoints ×
items.  The rules for data are those of a pair, each checkpoint against the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import lcm

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison import paired
from evalkit.comparison.arm import Arm, Floats
from evalkit.comparison.comparability import comparability
from evalkit.comparison.rows import Items, Numbers
from evalkit.comparison.sides import AnySide, Joined, Side
from evalkit.errors import ConfigError, StoreError, UnknownName
from evalkit.reporting.cells import Found, joints_of, stored, with_wholes
from evalkit.stats.cell import Differences
from evalkit.storage.store import Store

FEWEST = 3


@dataclass(frozen=True)
class Series:
    """One task: every checkpoint's score on every item, or the reason why there is no matrix."""

    task: str
    domain: str
    checkpoints: tuple[str, ...]
    values: Floats  # (T, n), oriented to [0, 1]
    items: Items  # (n,)
    clusters: Numbers | None  # (n,) by number; None where every item stands alone
    binary: bool  # one 0/1 score per item
    lattice: int | None  # every score is a multiple of 1/lattice
    flags: tuple[str, ...] = ()
    invalid: str = ""
    strata: Numbers | None = None  # (n,) by number, where the task weighs its strata
    weights: Mapping[str, float] = field(default_factory=dict)  # of each stratum, in that order
    shown: str = ""  # why it is displayed only; empty where it counts

    @cached_property
    def linear(self) -> Floats:
        """(T, n or its clusters) scores of which means and standard errors are the design's."""
        from evalkit.stats.linear import linear

        return linear(self.values, self.clusters, self.strata, tuple(self.weights.values()))

    @property
    def too_few(self) -> str:
        """What there is no estimate of: a stratum with fewer than two independent units."""
        units = np.arange(len(self.items)) if self.clusters is None else self.clusters
        if self.strata is None:
            return "" if len(np.unique(units)) > 1 else "all of it"
        for number, (name, weight) in enumerate(self.weights.items()):
            if weight > 0 and len(np.unique(units[self.strata == number])) < 2:
                return f"its stratum {name!r}"
        return ""

    @property
    def scores(self) -> list[float]:
        """The score of each checkpoint, as the task weighs its items."""
        return [float(score) for score in self.linear.mean(axis=1)]

    def differences(self, at: int, against: int) -> Differences:
        """One checkpoint's scores less another's, and the shape they have."""
        change = self.values[at] - self.values[against]
        weights = tuple(self.weights.values())
        shape = (self.binary, self.clusters, self.lattice, self.strata, weights)
        return Differences(change, *shape)

    def take(self, keep: NDArray[np.bool_]) -> Series:
        """The series on some of its items."""
        return replace(
            self,
            values=self.values[:, keep],
            items=self.items[keep],
            clusters=None if self.clusters is None else self.clusters[keep],
            strata=None if self.strata is None else self.strata[keep],
        )


def of_store(store: Store, names: Sequence[str]) -> list[Series]:
    """The series of every task that the first checkpoint sat.

    Raises ConfigError for fewer than three checkpoints, UnknownName for one without cells.
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{twice} is named twice: each checkpoint has one place in a series")
    if len(names) < FEWEST:
        raise ConfigError(
            f"a series takes {FEWEST} checkpoints or more, not {len(names)}: "
            "two are what `evalkit compare` is for"
        )
    found = list(stored(store))
    known = {cell.checkpoint for cell in found}
    for name in names:
        if name not in known:
            raise UnknownName(f"checkpoint of {store.root}", name, known)
    tasks = {cell.task for cell in found if cell.checkpoint == names[0]}
    chosen = [cell for cell in found if cell.checkpoint in names and cell.task in tasks]
    shown = joints_of(chosen).shown
    series = assemble(with_wholes(chosen), names)
    return [replace(each, shown=shown.get(each.task, "")) for each in series]


def assemble(found: Iterable[Found], names: Sequence[str]) -> list[Series]:
    """The series of cells at hand; of one checkpoint and task the last counts."""
    cells = {(cell.checkpoint, cell.task): cell for cell in found}
    tasks = {task: cell.domain for (name, task), cell in cells.items() if name == names[0]}
    return [
        _series(task, domain, names, [_side(cells.get((name, task))) for name in names])
        for task, domain in tasks.items()
    ]


def _side(found: Found | None) -> Side | Joined | None:
    side = found.side if found else None
    if isinstance(side, Joined):
        return side if all(isinstance(part, Side) for part in side.parts.values()) else None
    return side if isinstance(side, Side) else None


def _series(
    task: str, domain: str, names: Sequence[str], sides: Sequence[Side | Joined | None]
) -> Series:
    def invalid(reason: str) -> Series:
        nothing = np.empty((len(names), 0))
        items = np.empty(0, dtype="S16")
        return Series(task, domain, tuple(names), nothing, items, None, False, None, (), reason)

    there = [side for side in sides if side is not None]
    if len(there) < len(sides):
        return invalid(f"{names[list(sides).index(None)]} has no scores here")
    flags: list[str] = []
    for name, side in zip(names[1:], there[1:], strict=True):
        reason, more = _against(there[0], side)
        if reason:
            return invalid(f"{name} against {names[0]}: {reason}")
        flags += more
    try:
        arms = _aligned([side.arm for side in there])
    except StoreError as error:  # an exam whose parts are unlike
        return invalid(str(error))
    values = np.array([arm.means for arm in arms])
    known = ~np.isnan(values).any(axis=0)
    most = max(len(side.arm.items) for side in there)
    if known.sum() < max(2, paired.LEAST_OVERLAP * most):
        return invalid(f"only {known.sum()} items were answered by all, of {most}")
    first = arms[0].take(np.flatnonzero(known))
    whole = not any(np.isnan(arm.values[known]).any() for arm in arms)
    zero_one = all(arm.zero_one for arm in arms)
    found = Series(
        task,
        domain,
        tuple(names),
        values[:, known],
        first.items,
        first.clusters,
        zero_one and all(arm.epochs == 1 for arm in arms),
        lcm(*(arm.epochs for arm in arms)) if zero_one and whole else None,
        tuple(dict.fromkeys(flags)),
        strata=first.strata,
        weights=first.weights,
    )
    return invalid(f"fewer than two items of {short}") if (short := found.too_few) else found


def _against(first: AnySide | None, other: AnySide | None) -> tuple[str, tuple[str, ...]]:
    """Why the two cannot stand in one series, and what is flagged if they can."""
    if isinstance(first, Joined) and isinstance(other, Joined):
        each = {task: _against(part, other.parts[task]) for task, part in first.parts.items()}
        reasons = [f"{task}: {reason}" for task, (reason, _) in each.items() if reason]
        return "; ".join(reasons), tuple(flag for _, flags in each.values() for flag in flags)
    if not isinstance(first, Side) or not isinstance(other, Side):
        return "it has no scores here", ()
    differs = comparability(first.meta, other.meta)
    if differs.exam:
        return f"two different exams ({'; '.join(differs.exam)}): evaluate both alike", ()
    try:
        pair = paired.pair(first.arm, other.arm)
    except StoreError as error:
        return str(error), ()
    return pair.invalid, pair.flags + (("environment",) if differs.environment else ())


def _aligned(arms: Sequence[Arm]) -> list[Arm]:
    common = arms[0].items
    for arm in arms[1:]:
        if not np.array_equal(common, arm.items):
            common = np.intersect1d(common, arm.items, assume_unique=True)
    return [arm.take(np.flatnonzero(np.isin(arm.items, common))) for arm in arms]
