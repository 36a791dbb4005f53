"""`report.md`: the comment on a pull request; the headline first, the evidence folded below.

It is always short enough for GitHub, which takes 65,536 characters: where a matrix is too large
for that, what only supports the tables goes first, then the better rows, and both are told.
Whatever the template inserts is escaped for Markdown unless it was made here, see `_markdown`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from html import escape
from itertools import accumulate
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.verdict import CandidateVerdict, CellVerdict, Renderer, Report, Unit

from ._details import details, throughout
from ._drift import characters, drifts
from ._flips import how_to_look
from ._groups import groups
from ._judges import judge
from ._looks import looks
from ._markdown import Escaped, code, prose
from ._needed import needed, undecided
from ._noise import noise
from ._outcomes import classes
from ._room import LINES, OVERVIEW, STEPS, Room, telling
from ._rows import (
    MARKS,
    Kind,
    Row,
    asked,
    claim,
    in_reading_order,
    is_shown,
    p_shown,
    rows,
    sign,
    tally,
    word,
)
from ._scores import score_with_interval, scores
from ._text import clean, count, interval, p_value, percent, plural, points
from ._training import warnings

MARKER = "<!-- evalkit:report -->"
"""By which a comment of ours is found again."""

LIMIT = 65_000
"""UTF-16 units; what is left of 65,536 is for a line on the commit and the run."""

ROW = 60
"""UTF-16 units that a row of a table takes at least: pages of more rows are not tried."""

WHY = 300
"""Characters of what is said of one row."""


def render(report: Report, _: Evidence = NO_SAMPLES) -> str:
    """The report as GitHub-flavoured Markdown, in as much detail as GitHub takes."""
    pages = (_page(report, room) for room in STEPS if room.size(report) * ROW <= LIMIT)
    return next((page for page in pages if _length(page) <= LIMIT), _headline(report))


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _headline(report: Report) -> str:
    said = f"{MARKER}\n## {sign(report)} evalkit: {claim(report)}\n"
    return f"{said}\nAll else is too long to show: see `verdict.json`.\n"


def _page(report: Report, room: Room) -> str:
    candidates = in_reading_order(report)
    supported = candidates if room.sections else []
    cells = [(candidate, cell) for candidate in supported for cell in asked(candidate)]
    overview = telling(report)
    text = _template().render(
        report=report,
        marker=MARKER,
        room=room,
        overview=overview,
        look=_look(report, overview),
        undecided=[pair for candidate in candidates for pair in _undecided(candidate)],
        ended=[(*pair, name) for pair in cells for name in classes(pair[1])],
        differing=[pair for pair in cells if pair[1].differences or not pair[1].comparable],
        alone=scores(report),
        grouped=groups(report),
        drifted=drifts(report),
        advisory=sum(note.advisory for note in report.judges),
        level=f"{100 * report.ci_level:.0f}",
        alpha=f"{100 * report.alpha:g}",
        delta=lambda unit: _delta(unit, report.alpha),
    )
    return _squeezed(text)


GLOBALS = (
    *(claim, judge, looks, needed, noise, p_shown, plural),
    *(rows, tally, throughout, warnings, word),
)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=prose,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "code": code,
        "html": lambda text: Escaped(escape(clean(text, 80))),
        "trusted": Escaped,
        "interval": _trusted(interval),
        "count": _trusted(count),
        "p": lambda p: Escaped(escape(p_value(p))),
        "percent": _trusted(percent),
    }
    environment.globals |= {
        "mark": lambda verdict: Escaped(MARKS[verdict]),
        "sign": lambda found: Escaped(sign(found)),
        **{made.__name__: made for made in GLOBALS},
        "score_with_interval": lambda score: Escaped(score_with_interval(score)),
        "details": _details,
        "characters": lambda told: Escaped(characters(told)),
        "scores": _scores,
        "OVERVIEW": OVERVIEW,
        "LINES": LINES,
    }
    return environment.get_template("report.md")


def _trusted(show: Callable[..., str]) -> Callable[..., Escaped]:
    return lambda value: Escaped("" if value == "" else show(value))


def _undecided(candidate: CandidateVerdict) -> list[tuple[CandidateVerdict, Row]]:
    return [(candidate, row) for row in rows(candidate) if undecided(row)]


def _delta(unit: Unit, alpha: float) -> Escaped:
    if unit.delta is not None and not is_shown(unit, alpha):
        return Escaped("`~`")
    return Escaped(points(unit.delta))


def _scores(cell: CellVerdict | None) -> Escaped:
    if cell is None or not cell.n:
        return Escaped()
    return Escaped(f"{percent(cell.baseline_score)} → {percent(cell.candidate_score)}")


def _details(row: Row, known: Sequence[str] = ()) -> Escaped:
    # The table has a column of its own for the task.
    kind: Kind = "cell" if row.kind == "both" else row.kind
    said = details(replace(row, kind=kind), known)
    lengths = accumulate(map(len, said))
    kept = [phrase for phrase, length in zip(said, lengths, strict=True) if length <= WHY]
    return Escaped(" · ").join(prose(phrase) for phrase in kept or said[:1])


def _look(report: Report, pairs: Sequence[tuple[CandidateVerdict, Row]]) -> Escaped:
    """The command that shows samples of the first row that lost any; nothing where none did."""
    averaged = {(score.checkpoint, score.task) for score in report.scores if len(score.cells) > 1}
    for candidate, row in pairs:
        for cell in asked(candidate, row.cell) if row.cell else ():
            if cell.lost and (candidate.name, cell.task) not in averaged:
                return code(how_to_look(cell.task, candidate.name, candidate.against), 300)
    return Escaped()


def _squeezed(text: str) -> str:
    """The text without trailing spaces and with at most one blank line in a row."""
    lines: list[str] = []
    for line in (line.rstrip() for line in text.splitlines()):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n"


RENDERERS = (Renderer("markdown", "report.md", render),)
