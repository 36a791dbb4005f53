"""`model-card.md`: the section of a model's card that says how it did, and against what.

Scores on the left, verdicts on the right, one line a task; for the hub's Markdown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit import __version__
from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.verdict import CandidateVerdict, Renderer, Report

from ._lines import Line, lines
from ._markdown import code, prose
from ._rows import MARKS, in_reading_order, is_shown, p_shown, word
from ._scores import score_with_interval, scores
from ._text import count, interval, p_value, percent, points

COMPARED = ("domain", "task", "before", "after", "delta", "{level:.0f} % interval", "p", "n", "")
ALONE = ("task", "domain", "checkpoint", "score, {level:.0f} % interval", "n", "answers each")
LEFT = {"domain", "task", "checkpoint", ""}
NOTE = (
    "Scores are percentages and deltas points, paired by question. `~`: no change is shown. p is "
    "one-sided, in the direction of the delta, adjusted for all that was tested."
)


def render(report: Report, _: Evidence = NO_SAMPLES) -> str:
    """The section as GitHub-flavoured Markdown."""
    said = [
        "## Evaluation",
        *(part for candidate in in_reading_order(report) for part in _against(candidate, report)),
        *([] if report.candidates else [_alone(report)]),
        *([NOTE] if report.candidates else []),
        f"Measured by evalkit {__version__}.",
    ]
    return "\n\n".join(said) + "\n"


def _against(candidate: CandidateVerdict, report: Report) -> Iterator[str]:
    yield f"### {code(candidate.name)} against {code(candidate.against)}"
    heads = [head.format(level=100 * report.ci_level) for head in COMPARED]
    yield _table(heads, [_line(line, report.alpha) for line in lines([candidate])])


def _line(line: Line, alpha: float) -> list[str]:
    (row,) = line.found
    assert row is not None  # of the only candidate, every line has a row
    unit, cell = row.unit, row.cell
    unclear = unit.delta is not None and not is_shown(unit, alpha)
    reason = f": {prose(unit.reason, 200)}" if unit.reason else ""
    return [
        code(line.domain) if line.alone or not line.task else "",
        code(line.task) if line.task else "",
        percent(cell.baseline_score) if cell and cell.n else "",
        percent(cell.candidate_score) if cell and cell.n else "",
        "`~`" if unclear else points(unit.delta),
        interval(unit.ci),
        p_value(p_shown(unit)).replace("<", "&lt;"),
        count(cell.n) if cell and cell.n else "",
        f"{MARKS[unit.verdict]} {word(unit.verdict)}{reason}",
    ]


def _alone(report: Report) -> str:
    heads = [head.format(level=100 * report.ci_level) for head in ALONE]
    rows = [
        [
            code(score.task),
            code(score.domain),
            code(score.checkpoint),
            score_with_interval(score),
            count(score.n),
            str(score.epochs),
        ]
        for score in scores(report)
    ]
    return _table(heads, rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = [":--" if head in LEFT else "--:" for head in heads]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, rule, *rows])


RENDERERS = (Renderer("model-card", "model-card.md", render),)
