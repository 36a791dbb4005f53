"""Curves over training: each domain against the baseline, stage by stage, metrics beneath.

All panels share the axis of training, so that a fall in one stands above what happened in the
others and in the trainer's own log.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.verdict import ChangeNote, CheckpointScore, DomainVerdict, Report

from ._palette import OF_VERDICT, colour
from ._plot import SMALL, WIDTH, Plot, mark, page, panel, rule, write
from ._rows import MARKS, is_shown, severity
from ._text import clean, percent, points
from ._track import Track, track

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DOMAINS, MOST_METRICS, MOST_POINTS = 8, 4, 240
KNOWN = ("loss", "reward", "kl", "entropy")
LEFT, RIGHT = 190, 96
HEAD, DOMAIN, METRIC, GAP, FOOT = 30, 84, 46, 10, 50
LABELS = 9  # names of checkpoints that fit beneath the axis


@dataclass(frozen=True, slots=True)
class Curve:
    """One domain over the checkpoints."""

    domain: str
    base: float | None  # mean score of the baseline's tasks
    units: Mapping[str, DomainVerdict]  # by candidate
    alpha: float
    changes: list[ChangeNote]


@dataclass(frozen=True, slots=True)
class Logged:
    """One metric of one stage of training, and where on the axis the stage lies."""

    start: float
    end: float
    steps: list[int]
    values: list[float]  # NaN where it was no number


def curves(report: Report) -> Plot | None:
    """The plot; None below three checkpoints."""
    found = list(_curves(report))
    axis = track(report)
    if len({name for curve in found for name in curve.units}) < 2:
        return None
    metrics = _metrics(report, axis)
    height = HEAD + len(found) * (DOMAIN + GAP) + len(metrics) * (METRIC + GAP) + FOOT
    return Plot(
        "curves",
        "Over training",
        " ".join(_says(curve) for curve in found),
        height,
        lambda figure: _draw(figure, report.baseline, axis, found, metrics),
    )


def _curves(report: Report) -> Iterator[Curve]:
    """The domains worst first, at most so many."""
    units: dict[str, dict[str, DomainVerdict]] = {}
    for candidate in report.candidates:
        if candidate.against == report.baseline:
            for unit in candidate.domains:
                units.setdefault(unit.domain, {})[candidate.name] = unit
    order = sorted(units, key=lambda name: (min(map(severity, units[name].values())), name))
    for domain in order[:MOST_DOMAINS]:
        mine = _of_domain(report, domain)
        known = [score.score for score in mine if score.score is not None]
        base = sum(known) / len(known) if known and len(known) == len(mine) else None
        changes = [note for note in report.changes if note.domain == domain]
        yield Curve(domain, base, units[domain], report.alpha, changes)


def _of_domain(report: Report, domain: str) -> list[CheckpointScore]:
    """The baseline's scores that its domain is the mean of: without what is displayed only."""
    cells = [cell for candidate in report.candidates for cell in candidate.cells]
    off = {cell.task for cell in cells if "off" in cell.flags}
    own = [s for s in report.scores if (s.domain, s.checkpoint) == (domain, report.baseline)]
    return [score for score in own if score.task not in off]


def _says(curve: Curve) -> str:
    told = ", ".join(
        f"{clean(name, 40)} {points(unit.delta)}" for name, unit in curve.units.items()
    )
    begun = "; ".join(
        f"lower from {clean(each.checkpoint, 40)} on by {points(each.delta)}"
        for each in curve.changes
    )
    return f"{clean(curve.domain, 60)}: {told}{'; ' if begun else ''}{begun}."


def _metrics(report: Report, axis: Track) -> dict[str, list[Logged]]:
    """What trainers logged, by metric: the best known first, then those of most stages."""
    found: dict[str, list[Logged]] = {}
    for note in report.training:
        made = [each.name for each in report.checkpoints if note.stage in (each.stage, each.name)]
        ends = [name for name in made if name in axis.places and name in axis.before]
        for curve in note.curves if ends else ():
            values = [math.nan if value is None else value for value in curve.values]
            if not all(map(math.isnan, values)):
                start = min(axis.places[axis.before[name]] for name in ends)
                end = max(axis.places[name] for name in ends)
                found.setdefault(curve.name, []).append(Logged(start, end, curve.steps, values))

    def order(name: str) -> tuple[int, int, str]:
        place = KNOWN.index(name) if name in KNOWN else len(KNOWN)
        return (place, -len(found[name]), name)

    return {name: found[name] for name in sorted(found, key=order)[:MOST_METRICS]}


def _draw(
    figure: Figure,
    baseline: str,
    axis: Track,
    found: list[Curve],
    metrics: Mapping[str, list[Logged]],
) -> None:
    paper = page(figure)
    top = float(HEAD)
    _stages(paper, axis)
    for curve in found:
        _curve(paper, _panel(figure, axis, top, DOMAIN), baseline, axis, curve, top)
        top += DOMAIN + GAP
    for name, series in metrics.items():
        _metric(paper, _panel(figure, axis, top, METRIC), axis, name, series, top)
        top += METRIC + GAP
    _names(paper, axis, top)


def _x(axis: Track, place: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * place / (axis.end or 1)


def _panel(figure: Figure, axis: Track, top: float, height: float) -> Axes:
    axes = panel(figure, (LEFT, top, WIDTH - LEFT - RIGHT, height))
    axes.set(xlim=(0, axis.end or 1), xticks=[])
    axes.tick_params(axis="y", pad=6)
    for stage in axis.stages:
        axes.axvline(stage.start, color=colour("rule"), linewidth=1, zorder=0)
    return axes


def _stages(paper: Axes, axis: Track) -> None:
    for stage in axis.stages:
        middle = (_x(axis, stage.start) + _x(axis, stage.end)) / 2
        write(
            paper,
            (middle, HEAD / 2 - 4),
            clean(stage.method, 12).upper(),
            "muted",
            ha="center",
            size=SMALL,
        )


def _curve(paper: Axes, axes: Axes, baseline: str, axis: Track, curve: Curve, top: float) -> None:
    low, high = _limits(curve)
    axes.set(ylim=(low, high), yticks=_ticks(low, high))
    axes.yaxis.set_major_formatter(lambda value, _: points(value).removesuffix(".0"))
    axes.axhline(0, color=colour("muted"), linewidth=0.8, zorder=0)
    known = {baseline: 0.0} | {
        name: unit.delta for name, unit in curve.units.items() if unit.delta is not None
    }
    for name, delta in known.items():
        earlier = axis.before.get(name, "")
        while earlier and earlier not in known:  # it was not asked this
            earlier = axis.before.get(earlier, "")
        if earlier:
            xs = (axis.places[earlier], axis.places[name])
            axes.plot(xs, (known[earlier], delta), color=colour("muted"), linewidth=1.2, zorder=1)
    for name, unit in curve.units.items():
        _estimate(axes, axis.places[name], unit)
    axes.plot([axis.places[baseline]], [0], "o", markersize=4, color=colour("muted"), clip_on=False)
    for change in curve.changes:
        _change(axes, axis, change, low)
    write(paper, (0, top + DOMAIN / 2 - 8), clean(curve.domain, 22), weight="bold")
    told = f"{clean(baseline, 14)} {percent(curve.base)} %" if curve.base is not None else ""
    write(paper, (0, top + DOMAIN / 2 + 9), told, "muted", size=SMALL)
    _last(paper, axis, curve, top)


def _limits(curve: Curve) -> tuple[float, float]:
    ends = [0.0, 0.005, -0.005, *(end for unit in curve.units.values() for end in unit.ci or ())]
    low, high = min(ends), max(ends)
    return low - 0.12 * (high - low), high + 0.12 * (high - low)


def _ticks(low: float, high: float) -> list[float]:
    """Zero, and one round number on each side that has room for it."""
    reach = max(-low, high)
    step = 10 ** math.floor(math.log10(reach))
    unit = max(size for size in (step, 2 * step, 5 * step) if size <= reach * 0.92)
    return [tick for tick in (-unit, 0.0, unit) if low <= tick <= high]


def _estimate(axes: Axes, place: float, unit: DomainVerdict) -> None:
    if unit.delta is None or unit.ci is None:
        return
    role = OF_VERDICT[unit.verdict]
    axes.plot(
        (place, place),
        unit.ci,
        color=colour(role),
        linewidth=1.8,
        solid_capstyle="butt",
        zorder=2,
        clip_on=False,
    )
    mark(axes, (place, unit.delta), unit.verdict, role)


def _change(axes: Axes, axis: Track, change: ChangeNote, low: float) -> None:
    """Where a decline began: between two checkpoints."""
    if change.checkpoint not in axis.places or change.before not in axis.places:
        return
    middle = (axis.places[change.before] + axis.places[change.checkpoint]) / 2
    axes.axvline(middle, color=colour("regressed"), linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    told = f" {points(change.delta)} from {clean(change.checkpoint, 12)} on "
    side = "right" if _x(axis, middle) - LEFT > 8 * len(told) / 1.4 else "left"
    write(axes, (middle, low), told, "regressed", size=9.5, va="bottom", ha=side)


def _last(paper: Axes, axis: Track, curve: Curve, top: float) -> None:
    name = max(curve.units, key=lambda each: axis.places[each])
    unit, y = curve.units[name], top + DOMAIN / 2
    role = OF_VERDICT[unit.verdict]
    told = f"{MARKS[unit.verdict]} {points(unit.delta) if is_shown(unit, curve.alpha) else '~'}"
    write(paper, (WIDTH, y), told, role, ha="right", weight="bold")


def _metric(
    paper: Axes, axes: Axes, axis: Track, name: str, found: list[Logged], top: float
) -> None:
    for each in found:
        every = math.ceil(len(each.steps) / MOST_POINTS)
        steps, values = each.steps[::every], each.values[::every]
        xs = [each.start + (each.end - each.start) * at / (each.steps[-1] or 1) for at in steps]
        axes.plot(xs, values, color=colour("no-regression"), linewidth=1.2)
    values = [value for each in found for value in each.values if not math.isnan(value)]
    low, high = min(values), max(values)
    room = 0.15 * (high - low) or 0.5
    axes.set(ylim=(low - room, high + room), yticks=[low, high] if high > low else [low])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}".replace("-", "−"))
    write(paper, (0, top + METRIC / 2), clean(name, 22), "muted")


def _names(paper: Axes, axis: Track, top: float) -> None:
    """The checkpoints beneath the axis, as many as fit."""
    rule(paper, (LEFT, WIDTH - RIGHT), (top, top), "rule")
    names = list(axis.places)
    every = math.ceil(len(names) / LABELS)
    for at, name in enumerate(names):
        x = _x(axis, axis.places[name])
        rule(paper, (x, x), (top, top + 4), "muted")
        if (len(names) - 1 - at) % every == 0:  # the last one always
            write(paper, (x, top + 16), clean(name, 14), "muted", ha="center", size=SMALL)
