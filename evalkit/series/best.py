"""The best of several checkpoints, without the winner's curse.

Whoever picks the highest of many scores picks luck too, and the winner's own score is too high.
Half of the items therefore choose, by a hash of the item, and only the other half speak: their
score is unbiased for whatever was chosen and however.  Shrinkage would keep all items, at the
price of a model of how checkpoints differ; a held-out half needs none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from evalkit.errors import DataError, UnknownName
from evalkit.series.assembly import Series
from evalkit.stats.cell import Estimate
from evalkit.stats.domains import domain_mean, weighted_mean
from evalkit.stats.estimate import estimates


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Place(_Model):
    """One checkpoint: what the choosing half says, and what the held-out half does."""

    checkpoint: str
    chosen_by: float = Field(description="score of the target on the choosing half")
    score: float = Field(description="score of the target on the held-out half")
    gain: float = Field(description="of the target against the baseline, held-out half")
    gain_ci: tuple[float, float] = Field(description="90 % two-sided")
    worst_domain: str = Field(description="the other domain that lost most, choosing half")
    loss: float = Field(description="its difference against the baseline, held-out half")
    loss_ci: tuple[float, float] = Field(description="90 % two-sided")
    on_front: bool = Field(description="no other both gains more and loses less, choosing half")


class Best(_Model):
    """What `evalkit best` has to say."""

    baseline: str
    target: str = Field(description="the domain or task that is wanted; empty: all domains alike")
    best: str = Field(description="the checkpoint with the highest score on the choosing half")
    items: tuple[int, int] = Field(
        description="of the target, in the choosing and in the held-out half"
    )
    places: list[Place] = Field(description="the best on the choosing half first")
    invalid: dict[str, str] = Field(default={}, description="tasks left out, and why")
    shown: dict[str, str] = Field(
        default={}, description="tasks that are displayed only, hence left out, and why"
    )


@dataclass(frozen=True)
class _Half:
    series: list[Series]

    def delta(self, domain: str, at: int, base: int) -> Estimate:
        """One checkpoint against the baseline in a domain, by half of the items."""
        return domain_mean(
            [_against(each, at, base) for each in self.series if each.domain == domain]
        )

    def items(self, names: Sequence[str]) -> int:
        """How many items the domains have."""
        return sum(len(each.items) for each in self.series if each.domain in names)

    def score(self, names: Sequence[str], at: int) -> float:
        """The mean over domains of the mean over their tasks."""
        means = [np.mean([s.scores[at] for s in self.series if s.domain == name]) for name in names]
        return float(np.mean(means))


def best(series: Sequence[Series], baseline: str, target: str = "") -> Best:
    """Chooses among the checkpoints of a series, the baseline being one of them.

    `target` is the domain or task to be gained in; the mean of all domains without one.  Raises
    UnknownName for a target that is not there, DataError where no task was measured.
    """
    shown = {each.task: each.shown for each in series if each.shown}
    judged = [each for each in series if each.task not in shown]
    invalid = {each.task: each.invalid for each in judged if each.invalid}
    valid = [_retargeted(each, target) for each in judged if not each.invalid]
    if not valid:
        why = {**invalid, **shown}.items()
        told = "; ".join(f"{task}: {reason}" for task, reason in why) or "no tasks in common"
        raise DataError(f"nothing to choose by: {told}")
    domains = list(dict.fromkeys(each.domain for each in valid))
    if target and target not in domains:
        raise UnknownName("domain or task", target, {*domains, *(each.task for each in valid)})
    choosing, held = (
        _Half([each.take(first_half(each) == first) for each in valid]) for first in (True, False)
    )
    if any(each.too_few for half in (choosing, held) for each in half.series):
        raise DataError(
            "too few items: every task needs two in either half, of each stratum that counts"
        )
    names, wanted = valid[0].checkpoints, [target] if target else domains
    base = names.index(baseline)
    order = sorted(range(len(names)), key=lambda t: (-choosing.score(wanted, t), t))
    sides = {
        t: _worst(choosing, [d for d in domains if d != target] or domains, t, base) for t in order
    }
    front = pareto([(choosing.score(wanted, t), sides[t][1]) for t in order])
    return Best(
        baseline=baseline,
        target=target,
        best=names[order[0]],
        items=(
            choosing.items(wanted),
            held.items(wanted),
        ),
        places=[
            _place(names[t], (choosing, held), wanted, sides[t][0], (t, base), on)
            for t, on in zip(order, front, strict=True)
        ],
        invalid=invalid,
        shown=shown,
    )


def first_half(series: Series) -> NDArray[np.bool_]:
    """Which items choose: the lowest bit of a hash, of a cluster's first item where it is one's."""
    keys = series.items
    if series.clusters is not None:
        _, first, cluster = np.unique(series.clusters, return_index=True, return_inverse=True)
        keys = keys[first][cluster]
    halves = [hashlib.sha256(b"half" + bytes(key)).digest()[0] & 1 == 0 for key in keys.tolist()]
    return np.array(halves, dtype=np.bool_)


def pareto(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other beats: at least as good in both, and better in one."""
    return [not any(a >= x and b >= y and (a > x or b > y) for a, b in points) for x, y in points]


def _retargeted(series: Series, target: str) -> Series:
    """A task that is the target by itself is a domain by itself."""
    return replace(series, domain=target) if series.task == target else series


def _worst(half: _Half, domains: Sequence[str], at: int, base: int) -> tuple[str, float]:
    deltas = {domain: half.delta(domain, at, base).delta for domain in domains}
    return min(deltas.items(), key=lambda each: each[1])


def _place(
    name: str,
    halves: tuple[_Half, _Half],
    wanted: Sequence[str],
    worst: str,
    at: tuple[int, int],
    on_front: bool,
) -> Place:
    choosing, held = halves
    gains = [held.delta(domain, *at) for domain in wanted]
    gain = weighted_mean(gains) if len(gains) > 1 else gains[0]
    loss = held.delta(worst, *at)
    return Place(
        checkpoint=name,
        chosen_by=choosing.score(wanted, at[0]),
        score=held.score(wanted, at[0]),
        gain=gain.delta,
        gain_ci=(gain.lower, gain.upper),
        worst_domain=worst,
        loss=loss.delta,
        loss_ci=(loss.lower, loss.upper),
        on_front=on_front,
    )


def _against(series: Series, at: int, base: int) -> Estimate:
    return estimates([series.differences(at, base)])[0]
