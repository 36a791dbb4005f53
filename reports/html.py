"""`report.html`: one page that needs nothing else, from the verdict down to the very samples.

It fetches nothing, and opens from disk.  `evalkit view` serves the same page, which then asks for
samples instead of holding them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.verdict import Renderer, Report

from ._canvas import inline
from ._costs import costs, judged
from ._details import throughout
from ._drift import characters, drifts
from ._figures import figures
from ._findings import findings
from ._groups import groups
from ._heat import strength
from ._html import embedded, policy, script, style, template
from ._judges import judge
from ._looks import looks
from ._needed import needed, undecided
from ._noise import noise
from ._page_tables import cells_of, counts, delta, differing, ended, maps, said_of, scores_of
from ._page_words import ALWAYS, LEGEND, NOTES, SECTIONS
from ._palette import OF_VERDICT
from ._rows import MARKS, claim, in_reading_order, p_shown, rows, sign, tally, to_read, word
from ._samples import samples
from ._scores import score_with_interval, scores
from ._text import clean, count, interval, p_value, percent, plural
from ._training import trained, warnings

PACKAGES = ("matplotlib", "rapidfuzz")


def render(report: Report, evidence: Evidence = NO_SAMPLES) -> str:
    """The report as a page that holds its samples."""
    data = samples(report, evidence)
    return _page(report, evidence, data, shows_samples=bool(data["flips"]))


def serve(report: Report, evidence: Evidence, data: dict[str, Any]) -> str:
    """The report as a page that asks for its samples."""
    return _page(report, evidence, data, shows_samples=True, served=True)


def _page(
    report: Report,
    evidence: Evidence,
    data: Mapping[str, Any],
    *,
    shows_samples: bool,
    served: bool = False,
) -> str:
    text = _template().render(
        policy=policy(style(), script(), served=served),
        style=Markup(style()),
        script=Markup(script()),
        data=embedded(data),
        shows_samples=shows_samples,
        why_none=next((pair["reason"] for pair in data["pairs"] if pair.get("reason")), ""),
        costs=costs(report, evidence),
        judged=judged(report),
        **_told(report, shows_samples=shows_samples),
    )
    return text.rstrip() + "\n"


def _told(report: Report, *, shows_samples: bool) -> dict[str, Any]:
    """What the page shows of the report."""
    candidates, charts = in_reading_order(report), maps(report)
    plots = [plot for plot in figures(report) if plot.name in NOTES]
    found, more = findings(report)
    there = ALWAYS | {plot.name for plot in plots} | {anchor for anchor, *_ in charts}
    there |= {"samples"} if shows_samples else set()
    return {
        "report": report,
        "candidates": candidates,
        "sections": [section for section in SECTIONS if section[0] in there],
        "counts": counts(report),
        "findings": found,
        "more": more,
        "maps": charts,
        "plots": plots,
        "undecided": [(c, row) for c in candidates for row in rows(c) if undecided(row)],
        "ended": ended(report),
        "differing": differing(report),
        "drifted": drifts(report),
        "alone": scores(report),
        "grouped": groups(report),
        "level": f"{100 * report.ci_level:.0f}",
        "alpha": f"{100 * report.alpha:g}",
        "delta": lambda unit: delta(unit, report.alpha),
    }


CALLED = (
    *(
        cells_of,
        claim,
        count,
        interval,
        judge,
        looks,
        needed,
        noise,
        p_shown,
        p_value,
        percent,
    ),
    *(plural, rows, said_of, score_with_interval, scores_of, sign, strength, tally, throughout),
    *(characters, to_read, trained, warnings, word),
)
OTHERS = {
    "BESIDE": 4,  # candidates of a map that stands beside what did not pass
    "FEW": 100,  # answers whose language was told: a share of so few is told with their number
    "MOST_TALLIES": 10,  # lines of candidates before they are folded
    "LEGEND": LEGEND,
    "MARKS": MARKS,
    "NOTES": NOTES,
    "inline": lambda plot: Markup(inline(plot)),
    "role": lambda verdict: OF_VERDICT.get(verdict, "muted"),
    "role_of": lambda found: "no-regression" if sign(found) == "~" else OF_VERDICT[found.verdict],
    "short": lambda text: clean(text, 16),
}


@cache
def _template() -> Template:
    return template({**{each.__name__: each for each in CALLED}, **OTHERS})


RENDERERS = (Renderer("html", "report.html", render, serve=serve, packages=PACKAGES),)
