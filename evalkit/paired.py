"""Two cells side by side: the same items, their scores, and what is missing.

Items are paired by identity, never by position.  A missing sample (an infrastructure error, a
judgment that could not be had) is neither right nor wrong: the estimate leaves it out, and the
verdict must also hold with every such sample filled in for the worst and for the best.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.store import Cell
from evalkit.tables import read_table

if TYPE_CHECKING:
    import pyarrow as pa

    from evalkit.stats.estimate import Estimate

Floats = NDArray[np.float64]

INCOMPLETE = ("truncated", "unclosed_think", "errored")
FULL_MARKS = ("correct", "win")
FULL_OVERLAP, LEAST_OVERLAP = 0.99, 0.95
MOST_MISSING = 0.01


@dataclass(frozen=True)
class Arm:
    """One cell's scores as arrays: n items × k samples each, oriented to [0, 1]."""

    items: NDArray[np.bytes_]  # (n,) sorted
    values: Floats  # (n, k); NaN is a missing sample
    outcomes: NDArray[np.str_]  # (n, k)
    clusters: NDArray[np.str_]  # (n,)
    native: tuple[float, float, bool]  # the task's bounds, and whether higher is better

    @property
    def epochs(self) -> int:
        """Samples due per item."""
        return int(self.values.shape[1])

    @property
    def missing(self) -> float:
        """Share of the samples due that are missing."""
        return float(np.isnan(self.values).mean()) if self.values.size else 0.0

    def take(self, index: NDArray[np.intp]) -> Arm:
        """The arm restricted to some of its items."""
        return Arm(
            self.items[index],
            self.values[index],
            self.outcomes[index],
            self.clusters[index],
            self.native,
        )


@dataclass(frozen=True)
class Pair:
    """Two arms on their common items, or the reason why they cannot be compared."""

    baseline: Arm
    candidate: Arm
    flags: tuple[str, ...] = ()
    invalid: str = ""

    @property
    def n(self) -> int:
        """Items that both arms have."""
        return len(self.baseline.items)


def load(cell: Cell, meta: Mapping[str, Any], preset: str) -> Arm:
    """A cell's scores; raises StoreError where they cannot be read."""
    table = read_table(cell.scores_path(preset), ["item", "epoch", "value", "outcome", "cluster"])
    items, row = np.unique(_item_bytes(table), return_inverse=True)
    epoch = table.column("epoch").to_numpy().astype(np.intp)
    shape = (len(items), int(epoch.max()) + 1 if len(epoch) else 1)
    values = np.full(shape, np.nan)
    values[row, epoch] = table.column("value").to_numpy()
    values[~np.isfinite(values)] = np.nan
    outcomes = np.full(shape, "errored", dtype=object)
    outcomes[row, epoch] = table.column("outcome").to_pylist()
    clusters = np.full(len(items), "", dtype=object)
    clusters[row] = table.column("cluster").to_pylist()
    low, high = meta.get("bounds", (0.0, 1.0))
    higher = bool(meta.get("higher_is_better", True))
    oriented = (values - low) / (high - low) if higher else (high - values) / (high - low)
    return Arm(items, oriented, outcomes.astype(str), clusters.astype(str), (low, high, higher))


def _item_bytes(table: pa.Table) -> NDArray[np.bytes_]:
    column = table.column("item").combine_chunks()
    raw = column.buffers()[1]
    whole = np.frombuffer(raw, dtype="S16") if raw else np.empty(0, dtype="S16")
    return whole[column.offset : column.offset + len(column)]


def pair(baseline: Arm, candidate: Arm) -> Pair:
    """The two arms on the items they share, with every data rule applied."""
    if np.array_equal(baseline.items, candidate.items):
        return _checked(baseline, candidate, ())
    _, left, right = np.intersect1d(
        baseline.items, candidate.items, assume_unique=True, return_indices=True
    )
    share = len(left) / max(len(baseline.items), len(candidate.items), 1)
    if share < LEAST_OVERLAP:
        reason = (
            f"only {len(left)} items in common of {len(baseline.items)} and "
            f"{len(candidate.items)}: evaluate both on the same items"
        )
        return Pair(baseline.take(left), candidate.take(right), invalid=reason)
    flags = () if share >= FULL_OVERLAP else ("partial_overlap",)
    return _checked(baseline.take(left), candidate.take(right), flags)


def _checked(baseline: Arm, candidate: Arm, flags: tuple[str, ...]) -> Pair:
    for name, arm in (("baseline", baseline), ("candidate", candidate)):
        known = arm.values[~np.isnan(arm.values)]
        if known.size and not (known.min() >= -1e-9 and known.max() <= 1 + 1e-9):
            low, high, _ = arm.native
            reason = f"the {name} has scores outside the task's bounds {low:g} to {high:g}"
            return Pair(baseline, candidate, flags, reason)
        if arm.missing > MOST_MISSING:
            reason = (
                f"{arm.missing:.1%} of the {name}'s samples are missing (1 % is tolerated): "
                "run again, and what failed is asked again"
            )
            return Pair(baseline, candidate, flags, reason)
    answered = _answered(baseline) & _answered(candidate)
    if answered.sum() < 2:
        reason = f"{answered.sum()} items were answered by both sides; it takes two"
        return Pair(baseline, candidate, flags, reason)
    return Pair(baseline, candidate, flags)


def _answered(arm: Arm) -> NDArray[np.bool_]:
    return _known(arm.values)


def zero_one(values: Floats) -> bool:
    """Whether every score there is is 0 or 1."""
    return bool(np.isin(values[~np.isnan(values)], (0.0, 1.0)).all())


def _known(values: Floats) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(values).all(axis=1), dtype=np.bool_)


@dataclass(frozen=True)
class Differences:
    """The item differences of a pair, ready for `evalkit.stats.estimate`."""

    values: Floats
    binary: bool
    lattice: int | None
    clusters: list[str] | None

    def estimate(self, conf: float = 0.90) -> Estimate:
        """The estimate of their mean."""
        from evalkit.stats.estimate import estimate

        return estimate(
            self.values,
            binary=self.binary,
            clusters=self.clusters,
            lattice=self.lattice,
            conf=conf,
        )


def differences(pair: Pair, fill: tuple[float, float] | None = None) -> Differences:
    """Candidate - baseline per item, on the samples there are.

    With `fill`, every missing sample of the baseline and of the candidate counts as that.
    """
    arms = (pair.baseline.values, pair.candidate.values)
    if fill is not None:
        arms = tuple(  # type: ignore[assignment]
            np.where(np.isnan(arm), value, arm) for arm, value in zip(arms, fill, strict=True)
        )
    keep = _known(arms[0]) & _known(arms[1])
    before, after = (np.nanmean(arm[keep], axis=1) for arm in arms)
    binary = all(zero_one(arm) for arm in arms)
    whole = not any(bool(np.isnan(arm[keep]).any()) for arm in arms)
    single = arms[0].shape[1] == arms[1].shape[1] == 1
    lattice = lcm(arms[0].shape[1], arms[1].shape[1]) if binary and whole else None
    return Differences(after - before, binary and single, lattice, _clusters(pair, keep))


def _clusters(pair: Pair, keep: NDArray[np.bool_]) -> list[str] | None:
    labels = pair.baseline.clusters[keep]
    if not (labels != "").any():
        return None
    items = pair.baseline.items[keep]
    return [
        label or item.hex() for label, item in zip(labels.tolist(), items.tolist(), strict=True)
    ]


def has_missing(pair: Pair) -> bool:
    """Whether any sample due is missing in either arm."""
    return bool(pair.baseline.missing or pair.candidate.missing)


def counts(arm: Arm) -> dict[str, int]:
    """How many samples ended in each outcome class."""
    return dict(sorted(Counter(arm.outcomes.ravel().tolist()).items()))


def score(arm: Arm) -> float | None:
    """Mean over items of the mean over their samples."""
    known = arm.values[_answered(arm)]
    return float(np.nanmean(known, axis=1).mean()) if len(known) else None


def completed_score(arm: Arm) -> float | None:
    """Mean over the samples whose answers are complete: neither cut off nor failed."""
    complete = ~np.isin(arm.outcomes, INCOMPLETE) & ~np.isnan(arm.values)
    return float(arm.values[complete].mean()) if complete.any() else None


def lost_to(pair: Pair) -> dict[str, int]:
    """What became of the candidate's samples on the items whose score fell."""
    with np.errstate(invalid="ignore"):
        fell = _mean(pair.candidate) < _mean(pair.baseline)
    ends = pair.candidate.outcomes[fell].ravel().tolist()
    return dict(sorted(Counter(end for end in ends if end not in FULL_MARKS).items()))


def _mean(arm: Arm) -> Floats:
    answered = _answered(arm)
    means = np.full(len(arm.items), np.nan)
    means[answered] = np.nanmean(arm.values[answered], axis=1)
    return means
