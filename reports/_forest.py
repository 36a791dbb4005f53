"""The forest plot: every estimate against the baseline with its interval and its margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.verdict import CandidateVerdict, Report

from ._palette import OF_VERDICT, colour
from ._plot import SMALL, WIDTH, Plot, estimate, page, panel, rule, write
from ._rows import MARKS, Row, against_baseline, is_shown, rows, word
from ._text import clean, interval, percent, plural, points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 60
"""Lines beyond which a forest is no picture any more: the rest is in the tables."""

LINE, HEADING, AXIS = 24, 34, 52
LEFT, PLOT = 212, 318
COLUMNS = (612, 706, 752)  # right ends of delta with interval, margin
ROOM = 1.08


@dataclass(frozen=True, slots=True)
class Line:
    """A heading or a row, and the middle of its line in pixels."""

    y: float
    heading: str = ""
    row: Row | None = None


def forest(report: Report) -> Plot | None:
    """The plot; None where nothing was compared."""
    lines, left_out = _lines(report)
    if not any(line.row and line.row.unit.ci for line in lines):
        return None
    height = lines[-1].y + LINE / 2 + AXIS
    more = f"{plural(left_out, 'more line')} in the tables below" if left_out else ""
    return Plot(
        "forest",
        "Intervals and margins",
        _says(lines),
        round(height),
        lambda figure: _draw(figure, lines, report.alpha, more),
    )


def _lines(report: Report) -> tuple[list[Line], int]:
    found: list[Line] = []
    y, left_out = 0.0, 0
    for candidate in against_baseline(report, MOST):
        shown = rows(candidate)
        kept = shown[: max(0, MOST - len(found))]
        left_out += len(shown) - len(kept)
        if kept:
            y += HEADING
            found.append(Line(y - LINE / 2, _heading(candidate)))
        for row in kept:
            found.append(Line(y + LINE / 2, row=row))
            y += LINE
    return found, left_out


def _heading(candidate: CandidateVerdict) -> str:
    return f"{clean(candidate.name, 40)} against {clean(candidate.against, 40)}"


def _says(lines: list[Line]) -> str:
    told = [
        f"{clean(line.row.name, 60)}: {word(line.row.unit.verdict)}, "
        f"{points(line.row.unit.delta)} points {interval(line.row.unit.ci)}"
        if line.row
        else f"{line.heading}."
        for line in lines
    ]
    return " ".join(told)


def _draw(figure: Figure, lines: list[Line], alpha: float, more: str) -> None:
    paper = page(figure)
    bottom = lines[-1].y + LINE / 2 + 6
    top = lines[0].y + LINE / 2
    axes = panel(figure, (LEFT, 0, PLOT, bottom))
    axes.set(xlim=_limits(lines), ylim=(bottom, 0), yticks=[])
    axes.xaxis.set_major_formatter(lambda value, _: points(value).removesuffix(".0"))
    for line in lines:
        if line.row:
            _row(paper, axes, line.y, line.row, alpha)
        else:
            write(paper, (0, line.y), line.heading, weight="bold")
    rule(axes, (0, 0), (top, bottom), "muted")
    rule(paper, (LEFT, LEFT + PLOT), (bottom, bottom))
    head = lines[0].y
    write(paper, (COLUMNS[0] + 40, head), "delta, interval", "muted", ha="right", size=SMALL)
    write(paper, (COLUMNS[2], head), "margin", "muted", ha="right", size=SMALL)
    write(paper, (LEFT + PLOT / 2, bottom + 34), "points", "muted", ha="center", size=SMALL)
    write(paper, (0, bottom + 34), more, "muted", size=SMALL)


def _limits(lines: list[Line]) -> tuple[float, float]:
    ends = [0.0, 0.005, -0.005]
    for unit in (line.row.unit for line in lines if line.row):
        ends += [*(unit.ci or ()), *([-unit.margin] if unit.margin else [])]
    return ROOM * min(ends), ROOM * max(ends)


def _row(paper: Axes, axes: Axes, y: float, row: Row, alpha: float) -> None:
    unit, role = row.unit, OF_VERDICT[row.unit.verdict]
    indent = 34 if row.kind == "cell" else 20
    write(paper, (4, y), MARKS[unit.verdict], role, weight="bold")
    write(paper, (indent, y), clean(row.name, 26 if indent == 20 else 24))
    rule(paper, (0, WIDTH), (y + LINE / 2, y + LINE / 2))
    if unit.delta is None or unit.ci is None:
        write(paper, (LEFT, y), "not comparable" if row.cell else "no estimate", "muted")
        return
    if unit.margin:
        ends = (y - 7, y + 7)
        axes.plot(
            (-unit.margin,) * 2, ends, color=colour("muted"), linewidth=1.2, linestyle=(0, (2, 2))
        )
    estimate(axes, (unit.delta, y), unit.ci, unit.verdict, role)
    told = points(unit.delta) if is_shown(unit, alpha) else "~"
    write(paper, (COLUMNS[0] - 26, y), told, role, ha="right", weight="bold")
    write(paper, (COLUMNS[1] - 6, y), interval(unit.ci), ha="right")
    star = "*" if unit.gates else " "
    write(paper, (COLUMNS[2], y), f"{percent(unit.margin)}{star}", "muted", ha="right")
