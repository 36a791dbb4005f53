"""Candidates side by side: benchstat's table for checkpoints.

One line per domain or task, worst first; for each candidate its score, and its delta with n and p
beside it, `~` where no change is shown.  What is out of the ordinary is a footnote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from evalkit.evidence.values import NO_SAMPLES, Evidence
from evalkit.terminal.console import text
from evalkit.verdict import CandidateVerdict, Renderer, Report

from ._blocks import fits, laid
from ._compared import Compared
from ._details import throughout
from ._grid import packed
from ._lines import lines, together
from ._rows import claim, sign, tally
from ._scores import in_words, scores
from ._text import clean
from .terminal import STYLES

WIDTH = 100
INDENT = 2
WHOLE, SHORT = 60, 20  # the most that names take, and the least that they are left
RICHEST = ("score", "", "delta", "interval", "p", "n", "lost", "gained")
USUAL, SPARE = RICHEST[:-2], ("score", "", "delta", "p", "n")
TRIED = ((RICHEST, WHOLE), (USUAL, WHOLE), (USUAL, SHORT), (SPARE, SHORT))
LEGEND = (
    "▲ improved  ▼ regressed  · no regression  ? inconclusive  ✕ invalid  ~ no change shown\n"
    "score: %; delta: points, with its {level:.0f} % interval; p: one-sided, in the direction of "
    "the delta, adjusted; n: items"
)
GATES = "; margin: points, * gates"


def render(report: Report, _: Evidence = NO_SAMPLES) -> str:
    """The table as plain text, 100 columns wide."""
    return text(partial(_parts, report), WIDTH)


def fit(report: Report, width: int, colour: bool) -> str:
    """The table for a terminal of so many columns."""
    return text(partial(_parts, report), width, colour=colour)


def _parts(report: Report, width: int) -> Iterator[RenderableType]:
    for candidates in together(report):
        yield from _against(candidates, report.alpha, width)
        yield ""
    if not report.candidates:
        yield Text(f"{sign(report)} {claim(report)}   baseline {clean(report.baseline, 60)}")
        yield from (_indented(in_words(score)) for score in scores(report))
    yield from (Text(clean(note, 500)) for note in report.notes)
    units = [unit for each in report.candidates for unit in (*each.domains, *each.cells)]
    gates = GATES if any(unit.margin is not None for unit in units) else ""
    yield Text(LEGEND.format(level=100 * report.ci_level) + gates, style="dim")


def _against(
    candidates: Sequence[CandidateVerdict], alpha: float, width: int
) -> Iterator[RenderableType]:
    """The candidates held against one checkpoint: what is claimed, the table, its footnotes."""
    yield Text(f"against {clean(candidates[0].against, 60)}")
    for candidate in candidates:
        yield _indented(_headline(candidate))
        if known := throughout(candidate):
            said = ", ".join(clean(one, 400) for one in known)
            yield Padding(Text(f"differs throughout in {said}"), (0, 0, 0, 2 * INDENT))
    for group in _groups(candidates, alpha, width):
        table = Compared(group, lines(group), alpha)
        yield ""
        yield from laid(table.blocks(_layout(table, width) or SPARE), width)
        yield from (_footnote(sign, list(said), width) for sign, said in table.footnotes)


def _headline(candidate: CandidateVerdict) -> Text:
    style = "" if sign(candidate) == "~" else STYLES[candidate.verdict]
    claimed = (f"{sign(candidate)} {claim(candidate)}", style)
    return Text.assemble(
        (clean(candidate.name, 60), "bold"), "  ", claimed, f"  {tally(candidate)}"
    )


def _footnote(sign: str, said: list[str], width: int) -> RenderableType:
    hang = INDENT + len(sign) + 1
    lines = packed(said, width - hang)
    return Text(
        "\n".join([f"{' ' * INDENT}{sign} {lines[0]}", *(" " * hang + one for one in lines[1:])]),
        style="dim",
    )


def _groups(
    candidates: Sequence[CandidateVerdict], alpha: float, width: int
) -> list[Sequence[CandidateVerdict]]:
    """All in one table where they fit, else one after the other."""
    if _layout(Compared(candidates, lines(candidates), alpha), width):
        return [candidates]
    return [[candidate] for candidate in candidates]


def _layout(table: Compared, width: int) -> Sequence[str] | None:
    """The richest layout in which all stand side by side; names give way to intervals."""
    return next((one for one, name in TRIED if fits(table.blocks(one), width, name)), None)


def _indented(said: str | Text) -> RenderableType:
    return Padding(Text(said) if isinstance(said, str) else said, (0, 0, 0, INDENT))


RENDERERS = (Renderer("table", "report-table.txt", render, fit=fit),)
