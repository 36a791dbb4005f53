"""The table on the terminal: benchstat's habits for checkpoints.

One row per domain or task, worst first, numbers aligned, `~` where no change is shown.  Every
verdict has a mark of its own, so nothing is lost without colour.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.terminal.console import printed, text
from evalkit.verdict import CandidateVerdict, Renderer, Report

from ._details import details, throughout
from ._drift import drifts
from ._grid import Column, line, packed, widths
from ._groups import groups
from ._judges import judge
from ._looks import looks
from ._needed import needed, undecided
from ._noise import noise
from ._rows import (
    MARKS,
    Row,
    claim,
    in_reading_order,
    is_shown,
    p_shown,
    rows,
    sign,
    tally,
    word,
)
from ._scores import in_words, scores
from ._text import clean, count, interval, p_value, percent, points
from ._training import warnings

WIDTH = 100
INDENT = 2
WIDE = 96  # below it, a verdict is its mark alone
STYLES = {
    "improved": "green",
    "regressed": "bold red",
    "inconclusive": "yellow",
    "invalid": "bold magenta",
    "no_regression": "",
    "passed": "green",
}
MARK = Column("", right=False)
VERDICT = Column("verdict", right=False)
COLUMNS = (
    Column("domain", right=False, elastic=True),
    Column("score %"),
    Column("delta"),
    Column("interval"),
    Column("n"),
    Column("p"),
    Column("margin"),
)
MOST_DRIFTS = 6
LEGEND = (
    "▲ improved  ▼ regressed  · no regression  ? inconclusive  ✕ invalid  "
    "~ no change shown  * gates\n"
    "delta: points, with its {level:.0f} % interval; "
    "p: one-sided, in the direction of the delta, adjusted"
)


def render(report: Report, _: Evidence = NO_SAMPLES) -> str:
    """The table as plain text, 100 columns wide."""
    return plain(report, WIDTH)


def plain(report: Report, width: int) -> str:
    """The table as plain text of some other width."""
    return text(partial(_parts, report), width)


def fit(report: Report, width: int, colour: bool) -> str:
    """The table for a terminal of so many columns."""
    return text(partial(_parts, report), width, colour=colour)


def show(report: Report, console: Console) -> None:
    """Prints the table, in the console's colours and width."""
    printed(partial(_parts, report), console)


def _parts(report: Report, width: int) -> Iterator[RenderableType]:
    yield _banner(report)
    tables = _tables(report, width)
    for candidate, table in zip(in_reading_order(report), tables, strict=True):
        yield from ("", _title(candidate), *_remarks(candidate), *table)
    sections = (
        ("Scores", [] if report.candidates else [in_words(score) for score in scores(report)]),
        ("Over groups of tasks", groups(report)),
        ("What the inconclusive ones would need", _needs(report)),
        ("Looks", _looks(report)),
        ("How answers read, where it changed", _drifts(report)),
        ("Judges", [judge(note) for note in report.judges]),
        ("Asked again, nothing changed", [noise(note) for note in report.noise]),
        ("Training", list(warnings(report))),
        ("Notes", [clean(note, 500) for note in report.notes]),
    )
    for heading, lines in sections:
        if lines:
            yield from ("", Text(heading, style="bold"))
            yield from (Padding(Text(line), (0, 0, 0, INDENT)) for line in lines)
    yield from ("", Text(LEGEND.format(level=100 * report.ci_level), style="dim"))


def _banner(report: Report) -> Text:
    banner = Text(f"{sign(report)} {claim(report).upper()}")
    banner.stylize("" if sign(report) == "~" else STYLES[report.verdict])
    banner.append("   baseline ").append(clean(report.baseline, 60), style="bold")
    return banner.append(f"   a gate exits {report.exit_code}")


def _title(candidate: CandidateVerdict) -> Text:
    title = Text.assemble((clean(candidate.name, 60), "bold"), " against ")
    title.append(clean(candidate.against, 60)).append("   ")
    style = "" if sign(candidate) == "~" else STYLES[candidate.verdict]
    return title.append(f"{sign(candidate)} {claim(candidate)}", style=style)


def _remarks(candidate: CandidateVerdict) -> Iterator[RenderableType]:
    remarks = [tally(candidate)]
    if known := throughout(candidate):
        remarks.append(f"differs throughout in {', '.join(clean(said, 400) for said in known)}")
    return (Padding(Text(remark), (0, 0, 0, INDENT)) for remark in remarks)


def _tables(report: Report, width: int) -> list[list[RenderableType]]:
    """One table a candidate, all with the same columns, so that the eye can go down them."""
    columns = [MARK if width < WIDE else VERDICT, *COLUMNS]
    candidates = in_reading_order(report)
    grids = [[_cells(row, report.alpha, columns) for row in rows(c)] for c in candidates]
    sizes = widths(columns, [cells for grid in grids for cells in grid], width - INDENT)
    heads = [Text(column.heading, style="dim") for column in columns]
    laid = [[line(cells, columns, sizes) for cells in [heads, *grid]] for grid in grids]
    said = [[packed(details, width - 2 * INDENT) for details in _said(c)] for c in candidates]
    return [_lines(*pair) for pair in zip(laid, said, strict=True)]


def _said(candidate: CandidateVerdict) -> list[list[str]]:
    known = throughout(candidate)
    return [details(row, known) for row in rows(candidate)]


def _lines(laid: list[Text], said: list[list[str]]) -> list[RenderableType]:
    """A table's lines: the heading, then each row with what is said under it."""
    if not said:
        return []
    lines: list[RenderableType] = [Padding(laid[0], (0, 0, 0, INDENT))]
    for row, under in zip(laid[1:], said, strict=True):
        lines.append(Padding(row, (0, 0, 0, INDENT)))
        lines += [Padding(Text(words, style="dim"), (0, 0, 0, 2 * INDENT)) for words in under]
    return lines


def _cells(row: Row, alpha: float, columns: list[Column]) -> list[Text]:
    unit, cell = row.unit, row.cell
    style = STYLES[unit.verdict]
    unclear = unit.delta is not None and not is_shown(unit, alpha)
    found = {
        "": Text(MARKS[unit.verdict], style=style),
        "verdict": Text(f"{MARKS[unit.verdict]} {word(unit.verdict)}", style=style),
        "domain": Text("  " * (row.kind == "cell") + clean(row.name)),
        "delta": Text("~" if unclear else points(unit.delta), style=style),
        "interval": Text(interval(unit.ci)),
        "p": Text(p_value(p_shown(unit))),
        "margin": Text(percent(unit.margin) + ("*" if unit.gates else " ")),
    }
    if cell is not None and cell.n:
        scores = f"{percent(cell.baseline_score)} → {percent(cell.candidate_score)}"
        found |= {"score %": Text(scores), "n": Text(count(cell.n))}
    return [found.get(column.heading, Text()) for column in columns]


def _needs(report: Report) -> list[str]:
    return [
        f"{clean(candidate.name, 60)} against {clean(candidate.against, 60)}, "
        f"{clean(row.name, 60)}: {needed(row)}"
        for candidate in in_reading_order(report)
        for row in rows(candidate)
        if undecided(row)
    ]


def _drifts(report: Report) -> list[str]:
    """The first lines there are, and how many more."""
    lines = drifts(report)
    more = len(lines) - MOST_DRIFTS
    return lines if more <= 1 else [*lines[:MOST_DRIFTS], f"and {more} more, in report.md"]


def _looks(report: Report) -> list[str]:
    return [
        f"{clean(candidate.name, 60)} against {clean(candidate.against, 60)}, {said}"
        for candidate in in_reading_order(report)
        for said in looks(candidate)
    ]


RENDERERS = (Renderer("terminal", "report.txt", render, fit=fit),)
