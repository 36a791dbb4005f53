"""How answers ended, side by side: the first place to look when a score falls."""

from __future__ import annotations

from evalkit.verdict import CellVerdict

# As in triage: what never reached the scorer, then what it could not use, then what it graded.
ORDER = (
    "errored",
    "ungraded",
    "truncated",
    "unclosed_think",
    "timed_out",
    "forged",
    "unparsed",
    "refused",
    "empty",
    "missing",
    "wrong",
    "loss",
    "partial",
    "tie",
    "graded",
    "measured",
    "correct",
    "win",
)
GRADED = frozenset(ORDER[ORDER.index("wrong") :])
"""How answers end that were graded as meant, by a scorer or by a judge."""


def classes(cell: CellVerdict) -> list[str]:
    """The outcome classes of a cell: known ones in the order of triage, others after them."""
    found = {*cell.outcomes.baseline, *cell.outcomes.candidate, *cell.lost_to}
    return sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else 99, name))


def troubles(cell: CellVerdict) -> list[tuple[str, int, int]]:
    """Each class of answers that could not be graded as meant: its counts on both sides."""
    counts = (
        (name, cell.outcomes.baseline.get(name, 0), cell.outcomes.candidate.get(name, 0))
        for name in classes(cell)
        if name not in GRADED
    )
    return [(name, before, after) for name, before, after in counts if before or after]
