"""Where lost samples went: of every task that lost some, how the candidate's answers ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.verdict import CandidateVerdict, CellVerdict, Report

from ._outcomes import classes
from ._palette import colour
from ._plot import SMALL, WIDTH, Plot, page, write
from ._rows import against_baseline, asked, severity
from ._text import clean, count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 30
LINE, HEADING, HEAD = 26, 34, 6
LEFT, TAIL = 212, 210
LETTER = 5.8  # pixels that a character is wide, about
LOOKS = {
    "truncated": ("inconclusive", "////"),
    "unclosed_think": ("inconclusive", "xxxx"),
    "unparsed": ("invalid", "\\\\\\\\"),
    "empty": ("invalid", "||||"),
    "refused": ("regressed", "----"),
} | dict.fromkeys(("wrong", "partial", "loss", "tie", "graded"), ("no-regression", ""))
OTHER = ("regressed", "++")
BOX = {"facecolor": colour("paper"), "edgecolor": "none", "pad": 1.2}


@dataclass(frozen=True, slots=True)
class Bar:
    """One task of one candidate: how many lost samples ended how, the rest of them too."""

    y: float
    heading: str = ""
    cell: CellVerdict | None = None


def triage(report: Report) -> Plot | None:
    """The plot; None where nothing was lost."""
    bars = _bars(report)
    if not bars:
        return None
    height = round(bars[-1].y + LINE / 2 + 12)
    return Plot(
        "triage",
        "Where lost samples went",
        " ".join(_says(bar) for bar in bars),
        height,
        lambda figure: _draw(figure, bars),
    )


def _bars(report: Report) -> list[Bar]:
    found: list[Bar] = []
    y = float(HEAD)
    for candidate in against_baseline(report, MOST):
        lost = sorted((c for c in asked(candidate) if sum(c.lost_to.values())), key=severity)
        if not lost or len(found) > MOST:
            continue
        y += HEADING
        found.append(Bar(y - LINE / 2, _heading(candidate)))
        for cell in lost:
            found.append(Bar(y + LINE / 2, cell=cell))
            y += LINE
    return found


def _heading(candidate: CandidateVerdict) -> str:
    return f"{clean(candidate.name, 40)} against {clean(candidate.against, 40)}"


def _says(bar: Bar) -> str:
    if bar.cell is None:
        return f"{bar.heading}:"
    told = ", ".join(f"{count(n)} {clean(name, 30)}" for name, n in _ended(bar.cell))
    return f"{clean(bar.cell.task, 60)}: {told}."


def _ended(cell: CellVerdict) -> list[tuple[str, int]]:
    """What lost samples became, what the scorer never saw first."""
    return [(name, cell.lost_to[name]) for name in classes(cell) if cell.lost_to.get(name)]


def _draw(figure: Figure, bars: list[Bar]) -> None:
    import matplotlib

    matplotlib.rcParams["hatch.linewidth"] = 0.7
    paper = page(figure)
    most = max(sum(bar.cell.lost_to.values()) for bar in bars if bar.cell)
    scale = (WIDTH - LEFT - TAIL) / most
    for bar in bars:
        if bar.cell:
            _bar(paper, bar.y, bar.cell, scale)
        else:
            write(paper, (0, bar.y), bar.heading, weight="bold")


def _bar(paper: Axes, y: float, cell: CellVerdict, scale: float) -> None:
    write(paper, (12, y), clean(cell.task, 26))
    x, untold = float(LEFT), []
    for name, lost in _ended(cell):
        width = lost * scale
        paper.barh(y, width, height=16, left=x, linewidth=0.8, **_look(name))
        told = f"{clean(name, 20)} {count(lost)}"
        if len(told) * LETTER < width - 10:
            write(paper, (x + 6, y), told, size=SMALL, bbox=BOX if _hatched(name) else None)
        else:
            untold.append(told)
        x += width
    if total := len(_ended(cell)) - 1:
        untold.insert(0, count(sum(cell.lost_to.values())))
    write(paper, (x + 6, y), " · ".join(untold[: 3 + bool(total)]), "muted", size=SMALL)


def _hatched(name: str) -> bool:
    return bool(LOOKS.get(name, OTHER)[1])


def _look(name: str) -> dict[str, Any]:
    """Wrong answers are plain; what the scorer could not use has a colour and a hatch."""
    role, hatch = LOOKS.get(name, OTHER)
    if not hatch:
        return {"facecolor": colour("rule"), "edgecolor": colour("paper")}
    return {"facecolor": colour("paper"), "edgecolor": colour(role), "hatch": hatch}
