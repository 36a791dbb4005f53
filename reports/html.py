"""`report.html`: one page that needs nothing else, from the verdict down to the very samples.

It fetches nothing, and opens from disk.  `evalkit view` serves the same page, which then asks for
samples instead of holding them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.verdict import CandidateVerdict, CellVerdict, Renderer, Report, Unit

from ._canvas import inline
from ._costs import costs
from ._details import details, throughout
from ._figures import figures
from ._findings import findings
from ._heat import Grid, grid, strength
from ._html import embedded, policy, script, style, template
from ._judges import judge
from ._looks import looks
from ._needed import needed, undecided
from ._noise import noise
from ._outcomes import classes
from ._palette import OF_VERDICT
from ._rows import (
    MARKS,
    claim,
    in_reading_order,
    is_shown,
    p_shown,
    rows,
    severity,
    sign,
    tally,
    word,
)
from ._samples import samples
from ._scores import score_with_interval, scores
from ._text import clean, count, interval, p_value, percent, plural, points

LEGEND = [
    *((MARKS[verdict], verdict) for verdict in ("improved", "regressed", "no_regression")),
    *((MARKS[verdict], verdict) for verdict in ("inconclusive", "invalid")),
    ("~", "no change shown"),
    ("*", "gates"),
]
NOTES = {
    "forest": "Each line is the difference in points with its interval. The dashed mark is the "
    "margin: a line wholly to the right of it has not lost more than is tolerated, one wholly to "
    "the left of zero has lost something. A hollow mark is inconclusive.",
    "curves": "Differences from the baseline with their intervals, in the order of training. "
    "Upright lines part the stages. A dashed line is a change point: a decline that stands along "
    "the whole line of training. Beneath is what the trainers logged.",
    "pareto": "Higher gains more, further right loses less. The dashed line joins the candidates "
    "that no other beats in both. Each stands at its best and at its worst domain, chosen among "
    "all of them: read their intervals.",
    "triage": "Of the items whose score fell, how the candidate's answers ended. Plain bars were "
    "graded; hatched ones never gave the scorer an answer, which points at formats, token limits "
    "or refusals rather than at a lost skill.",
}
BESIDE = 4  # candidates of a map that stands beside what did not pass
SECTIONS = (
    ("verdict", "Verdict"),
    ("map", "Map"),
    ("forest", "Intervals"),
    ("curves", "Training"),
    ("pareto", "Trade-off"),
    ("triage", "Losses"),
    ("samples", "Samples"),
    ("numbers", "Numbers"),
    ("conditions", "Conditions"),
    ("reproduce", "Reproduce"),
)


def render(report: Report, evidence: Evidence = NO_SAMPLES) -> str:
    """The report as a page that holds its samples."""
    return _page(report, evidence, samples(report, evidence))


def serve(report: Report, evidence: Evidence, data: dict[str, Any]) -> str:
    """The report as a page that asks for samples."""
    return _page(report, evidence, data, served=True)


def _page(report: Report, evidence: Evidence, data: dict[str, Any], *, served: bool = False) -> str:
    candidates = in_reading_order(report)
    cells = [(candidate, cell) for candidate in candidates for cell in candidate.cells]
    found, more = findings(report)
    plots = [plot for plot in figures(report) if plot.name in NOTES]
    maps = _maps(report)
    has_samples = served or bool(data["flips"])
    there = {plot.name for plot in plots} | {"verdict", "numbers", "conditions", "reproduce"}
    there |= {name for name, is_there in (("map", maps), ("samples", has_samples)) if is_there}
    text = _template().render(
        report=report,
        candidates=candidates,
        policy=policy(style(), script(), served=served),
        style=Markup(style()),
        script=Markup(script()),
        data=embedded(data),
        has_samples=has_samples,
        sections=[section for section in SECTIONS if section[0] in there],
        findings=found,
        more=more,
        maps=maps,
        plots=plots,
        costs=costs(report, evidence),
        undecided=[(c, row) for c in candidates for row in rows(c) if undecided(row)],
        ended=[(*pair, name) for pair in cells for name in classes(pair[1])],
        differing=[pair for pair in cells if pair[1].differences or not pair[1].comparable],
        alone=scores(report),
        level=f"{100 * report.ci_level:.0f}",
        alpha=f"{100 * report.alpha:g}",
        delta=lambda unit: _delta(unit, report.alpha),
    )
    return text.rstrip() + "\n"


def _maps(report: Report) -> list[tuple[str, str, Grid]]:
    """(anchor, title, map) against the baseline, then against parents."""
    found = [
        ("map", "Domains by checkpoint", grid(report, lambda c: c.against == report.baseline)),
        (
            "parents",
            "Each against its parent",
            grid(report, lambda c: c.against != report.baseline),
        ),
    ]
    return [each for each in found if each[2].domains]


def _delta(unit: Unit, alpha: float) -> str:
    return "~" if unit.delta is not None and not is_shown(unit, alpha) else points(unit.delta)


def _cells_of(candidate: CandidateVerdict, domain: str) -> list[CellVerdict]:
    """A domain's cells, the worst first."""
    return sorted((cell for cell in candidate.cells if cell.domain == domain), key=severity)


def _scores_of(cell: CellVerdict | None) -> str:
    if cell is None or not cell.n:
        return ""
    return f"{percent(cell.baseline_score)} → {percent(cell.candidate_score)}"


CALLED = (
    *(claim, count, details, interval, judge, looks, needed, noise, p_shown, p_value, percent),
    *(plural, rows, score_with_interval, sign, strength, tally, throughout, word),
)
OTHERS = {
    "BESIDE": BESIDE,
    "MARKS": MARKS,
    "NOTES": NOTES,
    "LEGEND": LEGEND,
    "cells_of": _cells_of,
    "scores_of": _scores_of,
    "inline": lambda plot: Markup(inline(plot)),
    "role": lambda verdict: OF_VERDICT.get(verdict, "muted"),
    "role_of": lambda found: "no-regression" if sign(found) == "~" else OF_VERDICT[found.verdict],
    "short": lambda text: clean(text, 16),
}


@cache
def _template() -> Template:
    return template({**{each.__name__: each for each in CALLED}, **OTHERS})


RENDERERS = (Renderer("html", "report.html", render, serve, ("matplotlib", "rapidfuzz")),)
