"""What the page says besides its numbers: its sections, its signs, and how to read its figures."""

from __future__ import annotations

from ._rows import MARKS

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
"""Anchors and titles, in the order of reading; the first and the last three are always there."""

ALWAYS = {"verdict", "numbers", "conditions", "reproduce"}

LEGEND = (
    *((MARKS[verdict], verdict) for verdict in ("improved", "regressed", "no_regression")),
    *((MARKS[verdict], verdict) for verdict in ("inconclusive", "invalid")),
    ("~", "no change shown"),
    ("*", "gates"),
)

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
"""How to read each figure of the page; the map is a table there."""
