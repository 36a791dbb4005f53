"""`report.md`: the comment on a pull request; the headline first, the evidence folded below.

Whatever the template inserts is escaped for Markdown unless it was made here, see `_markdown`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from evalkit.verdict import CandidateVerdict, CellVerdict, Renderer, Report, Unit

from ._details import details, throughout
from ._judges import judge
from ._looks import looks
from ._markdown import Escaped, code, prose
from ._needed import needed, undecided
from ._noise import noise
from ._outcomes import classes
from ._rows import (
    MARKS,
    Kind,
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
from ._scores import score_with_interval, scores
from ._text import clean, count, interval, p_value, percent, points
from ._training import warnings


def render(report: Report) -> str:
    """The report as GitHub-flavoured Markdown."""
    candidates = in_reading_order(report)
    cells = [(candidate, cell) for candidate in candidates for cell in candidate.cells]
    text = _template().render(
        report=report,
        candidates=candidates,
        undecided=[pair for candidate in candidates for pair in _undecided(candidate)],
        ended=[(*pair, name) for pair in cells for name in classes(pair[1])],
        differing=[pair for pair in cells if pair[1].differences or not pair[1].comparable],
        alone=scores(report),
        advisory=sum(note.advisory for note in report.judges),
        level=f"{100 * report.ci_level:.0f}",
        alpha=f"{100 * report.alpha:g}",
        delta=lambda unit: _delta(unit, report.alpha),
    )
    return _squeezed(text)


GLOBALS = (claim, judge, looks, needed, noise, p_shown, rows, tally, throughout, warnings, word)


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
        "scores": _scores,
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


def _details(row: Row, known: list[str]) -> Escaped:
    # The table has a column of its own for the task.
    kind: Kind = "cell" if row.kind == "both" else row.kind
    said = details(replace(row, kind=kind), known)
    return Escaped(" · ").join(prose(phrase) for phrase in said)


def _squeezed(text: str) -> str:
    """The text without trailing spaces and with at most one blank line in a row."""
    lines: list[str] = []
    for line in (line.rstrip() for line in text.splitlines()):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n"


RENDERERS = (Renderer("markdown", "report.md", render),)
