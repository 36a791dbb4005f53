"""The map: every domain of every candidate, against the baseline or against its parent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.verdict import CandidateVerdict, DomainVerdict, Report

from ._palette import OF_VERDICT, colour
from ._plot import SMALL, WIDTH, Plot, page, rule, write
from ._rows import MARKS, is_shown, severity, word
from ._text import clean, interval, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS = (0.01, 0.03, 0.08)
"""Deltas from which a shown change is drawn one step stronger."""
STRENGTHS = (0.09, 0.16, 0.24, 0.33)
MOST_COLUMNS = 12  # beyond them a picture is no longer read; the page scrolls
HEAD, LINE, LEFT, FOOT = 34, 46, 176, 8


@dataclass(frozen=True, slots=True)
class Grid:
    """The map: candidates as columns, domains as rows, the worst domain first."""

    candidates: list[CandidateVerdict]
    domains: list[str]
    units: dict[tuple[str, int], DomainVerdict]  # by domain and column


def grid(report: Report, chosen: Callable[[CandidateVerdict], bool]) -> Grid:
    """The map of the candidates chosen; a parent's may be of any other checkpoint."""
    candidates = [candidate for candidate in report.candidates if chosen(candidate)]
    units = {
        (unit.domain, column): unit
        for column, candidate in enumerate(candidates)
        for unit in candidate.domains
    }
    worst = {
        domain: min(severity(u) for (d, _), u in units.items() if d == domain)
        for domain, _ in units
    }
    return Grid(candidates, sorted(worst, key=lambda domain: (worst[domain], domain)), units)


def strength(unit: DomainVerdict, alpha: float) -> int:
    """How strongly a change is drawn, from 1 to 4; 0 where none is shown."""
    if unit.delta is None or not is_shown(unit, alpha):
        return 0
    return 1 + sum(abs(unit.delta) >= step for step in STEPS)


def heat(report: Report) -> Plot | None:
    """The map against the baseline as a picture; None where nothing was compared."""
    found = grid(report, lambda candidate: candidate.against == report.baseline)
    if not found.domains:
        return None
    return Plot(
        "heatmap",
        "Domains by checkpoint",
        _says(found),
        HEAD + LINE * len(found.domains) + FOOT,
        lambda figure: _draw(figure, found, report.alpha),
    )


def _says(found: Grid) -> str:
    told = [
        f"{clean(found.candidates[column].name, 40)} in {clean(domain, 40)}: "
        f"{word(unit.verdict)} {points(unit.delta)} {interval(unit.ci)}."
        for (domain, column), unit in found.units.items()
    ]
    return " ".join(told)


def _draw(figure: Figure, found: Grid, alpha: float) -> None:
    paper = page(figure)
    columns = min(len(found.candidates), MOST_COLUMNS)
    wide = min(150.0, (WIDTH - LEFT) / columns)
    for column, candidate in enumerate(found.candidates[:columns]):
        middle = LEFT + wide * (column + 0.5)
        name = clean(candidate.name, max(6, int(wide / 8)))
        write(paper, (middle, HEAD / 2), name, weight="bold", ha="center")
    for at, domain in enumerate(found.domains):
        top = HEAD + LINE * at
        rule(paper, (0, LEFT + wide * columns), (top, top))
        write(paper, (0, top + LINE / 2), clean(domain, 24))
        for column in range(columns):
            if unit := found.units.get((domain, column)):
                _cell(paper, (LEFT + wide * column, top, wide), unit, alpha)


def _cell(
    paper: Axes, place: tuple[float, float, float], unit: DomainVerdict, alpha: float
) -> None:
    from matplotlib.patches import Rectangle

    left, top, wide = place
    role, text = OF_VERDICT[unit.verdict], OF_VERDICT[unit.verdict]
    strong = strength(unit, alpha)
    if strong and unit.verdict in ("improved", "regressed"):
        text = "ink"  # to be read on its own colour
        shade = STRENGTHS[strong - 1]
        box = Rectangle((left, top), wide - 1, LINE - 1, color=colour(role), alpha=shade)
        box.set_linewidth(0)
        paper.add_patch(box)
    shown = points(unit.delta) if is_shown(unit, alpha) else "~"
    told = f"{MARKS[unit.verdict]} {shown}" if unit.delta is not None else MARKS[unit.verdict]
    write(paper, (left + wide / 2, top + LINE / 2 - 8), told, text, ha="center", weight="bold")
    if unit.ci and wide > 70:
        write(
            paper,
            (left + wide / 2, top + LINE / 2 + 9),
            interval(unit.ci),
            "ink",
            ha="center",
            size=SMALL - 1,
        )
