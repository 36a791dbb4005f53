"""The trade-off: what each candidate gained most against what it lost most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.verdict import DomainVerdict, Report

from ._palette import OF_VERDICT, colour
from ._plot import SMALL, TEXT, WIDTH, Plot, mark, page, panel, write
from ._rows import is_advisory
from ._text import clean, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT, LEFT, TOP, RIGHT, FOOT = 400, 64, 12, 200, 60
WIDE, HIGH = WIDTH - LEFT - RIGHT, HEIGHT - TOP - FOOT
FEWEST_DOMAINS = 2
MOST_NAMED, MOST_LISTED = 8, 6


@dataclass(frozen=True, slots=True)
class Trade:
    """One candidate by its best and its worst domain."""

    name: str
    verdict: str
    gain: DomainVerdict
    loss: DomainVerdict

    @property
    def at(self) -> tuple[float, float]:
        """(worst, best) delta."""
        return (self.loss.delta or 0.0, self.gain.delta or 0.0)


def pareto(report: Report) -> Plot | None:
    """The plot; None where no candidate was compared in two domains."""
    found = list(_trades(report))
    if not found:
        return None
    return Plot(
        "pareto",
        "Gain against loss",
        " ".join(_says(trade) for trade in found),
        HEIGHT,
        lambda figure: _draw(figure, found),
    )


def _trades(report: Report) -> Iterator[Trade]:
    for candidate in report.candidates:
        known = [u for u in candidate.domains if u.delta is not None and not is_advisory(u)]
        if candidate.against == report.baseline and len(known) >= FEWEST_DOMAINS:
            ordered = sorted(known, key=lambda unit: unit.delta or 0.0)
            yield Trade(candidate.name, candidate.verdict, ordered[-1], ordered[0])


def _says(trade: Trade) -> str:
    worst, best = trade.at
    return (
        f"{clean(trade.name, 40)}: {clean(trade.gain.domain, 40)} {points(best)}, "
        f"{clean(trade.loss.domain, 40)} {points(worst)}."
    )


def front(found: list[Trade]) -> list[Trade]:
    """Those than which no other both gains more and loses less, by loss."""
    return sorted(
        (
            trade
            for trade in found
            if not any(
                other.at != trade.at and other.at[0] >= trade.at[0] and other.at[1] >= trade.at[1]
                for other in found
            )
        ),
        key=lambda trade: trade.at,
    )


def _draw(figure: Figure, found: list[Trade]) -> None:
    paper = page(figure)
    axes = panel(figure, (LEFT, TOP, WIDE, HIGH))
    _frame(axes, found)
    _edge(axes, front(found))
    axes.plot([0], [0], "o", markersize=4, color=colour("muted"), zorder=3)
    named = found if len(found) <= MOST_NAMED else front(found)
    for trade in found:
        _cross(axes, trade, faint=trade not in named)
    name: dict[str, Any] = {
        "textcoords": "offset points",
        "weight": "bold",
        "size": TEXT,
        "zorder": 4,
    }
    for place, trade in enumerate(sorted(named, key=lambda trade: trade.at)):
        beside = (7, 6 if place % 2 == 0 else -15)  # neighbours would write over each other
        axes.annotate(clean(trade.name, 20), trade.at, beside, color=colour("ink"), **name)
    _list(paper, [*named, *(trade for trade in found if trade not in named)])
    how: dict[str, Any] = {"ha": "center", "size": SMALL}
    told = "largest loss in any domain (points), smaller to the right"
    write(paper, (LEFT + WIDE / 2, HEIGHT - 20), told, "muted", **how)
    told = "largest gain in any domain (points)"
    write(paper, (12, TOP + HIGH / 2), told, "muted", va="center", rotation=90, **how)


def _edge(axes: Axes, best: list[Trade]) -> None:
    """The line along the front, with no change at all as a part of it."""
    places = sorted(((0.0, 0.0), *(trade.at for trade in best)), key=lambda at: (at[0], -at[1]))
    xs, ys = zip(*places, strict=True)
    axes.step(xs, ys, where="post", color=colour("muted"), linewidth=1, linestyle=(0, (4, 3)))


def _frame(axes: Axes, found: list[Trade]) -> None:
    xs = [0.0, 0.004, -0.004, *(end for trade in found for end in trade.loss.ci or ())]
    ys = [0.0, 0.004, -0.004, *(end for trade in found for end in trade.gain.ci or ())]
    for ends, limit in ((xs, axes.set_xlim), (ys, axes.set_ylim)):
        room = 0.06 * (max(ends) - min(ends))
        limit(min(ends) - room, max(ends) + room)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: points(value).removesuffix(".0"))
    axes.grid(color=colour("rule"), linewidth=0.6)
    axes.set_axisbelow(True)
    axes.axhline(0, color=colour("muted"), linewidth=1, zorder=1)
    axes.axvline(0, color=colour("muted"), linewidth=1, zorder=1)


def _cross(axes: Axes, trade: Trade, *, faint: bool) -> None:
    x, y = trade.at
    for ci, unit in ((trade.loss.ci, trade.loss), (trade.gain.ci, trade.gain)):
        if ci:
            place = (ci, (y, y)) if unit is trade.loss else ((x, x), ci)
            role = "rule" if faint else OF_VERDICT[unit.verdict]
            axes.plot(*place, color=colour(role), linewidth=1.3, zorder=1 if faint else 2)
    verdict = "no_regression" if trade.verdict == "passed" else trade.verdict
    mark(axes, trade.at, verdict, OF_VERDICT[trade.verdict])


def _list(paper: Axes, found: list[Trade]) -> None:
    """Beside the plot, which two domains each candidate stands for."""
    x, y = WIDTH - RIGHT + 22, TOP + 8.0
    for trade in found[:MOST_LISTED]:
        write(paper, (x, y), clean(trade.name, 22), weight="bold")
        for down, unit in ((17, trade.gain), (32, trade.loss)):
            told = f"{points(unit.delta)} {clean(unit.domain, 22)}"
            write(paper, (x, y + down), told, "muted", size=SMALL)
        y += 54
    if len(found) > MOST_LISTED:
        write(paper, (x, y), f"and {len(found) - MOST_LISTED} more", "muted", size=SMALL)
