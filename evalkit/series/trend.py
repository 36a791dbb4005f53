"""How a series of checkpoints went: where its score changed, and where it first declined.

It annotates; it never gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from evalkit.series.assembly import Series
from evalkit.terminal.columns import columns, percent, points


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Change(_Model):
    """A place at which the mean of the checkpoints after differs from that before."""

    checkpoint: str = Field(description="the first after the change")
    delta: float = Field(description="mean after - mean before, within its segment")
    p: float = Field(description="that so low a z comes up somewhere, had nothing changed")


class Declined(_Model):
    """One checkpoint against the best before it."""

    checkpoint: str
    best: str = Field(description="the checkpoint with the highest score before it")
    delta: float = Field(description="its score - the best's")
    upper: float = Field(description="95 % one-sided bound of the difference")
    p: float = Field(description="adjusted for the choice of the best, and Holm over the series")


class Point(_Model):
    """One checkpoint's score."""

    checkpoint: str
    score: float


class TaskTrend(_Model):
    """One task over all checkpoints."""

    task: str
    domain: str
    n: int = Field(description="items that every checkpoint answered")
    invalid: str = Field(default="", description="why there is nothing to say")
    shown: str = Field(default="", description="why it is displayed only elsewhere, where it is")
    flags: list[str] = []
    scores: list[Point] = []
    change: Change | None = Field(default=None, description="the likeliest change, whatever its p")
    changes: list[Change] = Field(default=[], description="all confirmed: binary segmentation")
    declines: list[Declined] = Field(default=[], description="every checkpoint but the first")
    first_decline: Declined | None = Field(default=None, description="the first confirmed one")


class Trend(_Model):
    """What `evalkit trend` has to say."""

    alpha: float = 0.05
    checkpoints: list[str]
    tasks: list[TaskTrend]

    @property
    def measured(self) -> bool:
        """Whether every task could be looked at."""
        return bool(self.tasks) and not any(task.invalid for task in self.tasks)


def trend(series: Sequence[Series], alpha: float = 0.05) -> Trend:
    """The trend of every task."""
    names = list(series[0].checkpoints) if series else []
    return Trend(alpha=alpha, checkpoints=names, tasks=[_task(each, alpha) for each in series])


def _task(series: Series, alpha: float) -> TaskTrend:
    from evalkit.stats.declines import declines, first_decline
    from evalkit.stats.trend import ChangePoint, change_point, change_points

    names = series.checkpoints
    about: dict[str, Any] = {
        "task": series.task,
        "domain": series.domain,
        "flags": list(series.flags),
        "shown": series.shown,
    }
    if series.invalid:
        return TaskTrend(**about, n=0, invalid=series.invalid)

    def change(found: ChangePoint) -> Change:
        return Change(checkpoint=names[found.index], delta=found.delta, p=found.p)

    against = declines(
        series.values,
        binary=series.binary,
        clusters=series.clusters,
        lattice=series.lattice,
        strata=series.strata,
        weights=tuple(series.weights.values()),
    )
    first = first_decline(against, alpha)
    told = [
        Declined(
            checkpoint=names[each.index],
            best=names[each.best],
            delta=each.delta,
            upper=each.upper,
            p=each.p,
        )
        for each in against
    ]
    return TaskTrend(
        **about,
        n=len(series.items),
        scores=[
            Point(checkpoint=name, score=score)
            for name, score in zip(names, series.scores, strict=True)
        ],
        change=change(change_point(series.linear)),
        changes=[change(found) for found in change_points(series.linear, alpha)],
        declines=told,
        first_decline=told[against.index(first)] if first else None,
    )


def text(found: Trend) -> str:
    """The trend for people: a table a task, then what was found."""
    return "\n\n".join(_text(task) for task in found.tasks) + "\n"


def _text(task: TaskTrend) -> str:
    head = f"{task.task} ({task.domain}), {task.n} items"
    head += f"; {task.shown}" if task.shown else ""
    if task.invalid:
        return f"{task.task} ({task.domain})\n  invalid: {task.invalid}"
    rows = [[task.scores[0].checkpoint, percent(task.scores[0].score), "", "", ""]]
    rows += [
        [each.checkpoint, percent(point.score), each.best, points(each.delta), f"{each.p:.3f}"]
        for point, each in zip(task.scores[1:], task.declines, strict=True)
    ]
    table = columns(["checkpoint", "score", "best before", "delta", "p worse"], rows)
    return "\n".join([head, table, *(f"  {line}" for line in _findings(task))])


def _findings(task: TaskTrend) -> list[str]:
    first, likeliest = task.first_decline, task.change
    lines = [f"flags: {', '.join(task.flags)}"] if task.flags else []
    if first:
        lines.append(
            f"first confirmed decline: {first.checkpoint}, {points(first.delta)} points "
            f"against {first.best} (at most {points(first.upper)}), p {first.p:.3f}"
        )
    else:
        lines.append("no checkpoint is confirmed to be worse than the best before it")
    for change in task.changes:
        lines.append(
            f"change point: from {change.checkpoint} on {points(change.delta)} points, "
            f"p {change.p:.3f}"
        )
    if not task.changes and likeliest:
        lines.append(
            f"no change point (the likeliest: {likeliest.checkpoint}, p {likeliest.p:.3f})"
        )
    return lines
