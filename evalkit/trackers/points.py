"""A report as a tracker takes it: numbers by name for each checkpoint, and its place on the axis.

The axis is the training step: a checkpoint's own, after those of the checkpoints it comes from.
Where a step is not known of every checkpoint that was trained from another, it is the place in the
report instead.  Scores and deltas are fractions, as in `verdict.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from evalkit.reporting.flat import Comparison, comparisons
from evalkit.verdict import CandidateVerdict, CheckpointNote, Outcome, Report, Unit

VERDICTS: dict[Outcome, int] = {
    "improved": 2,
    "no_regression": 1,
    "inconclusive": 0,
    "regressed": -1,
}
"""Verdicts as numbers; what is invalid has none."""

Axis = Literal["training_step", "place"]


@dataclass(frozen=True, slots=True)
class Point:
    """What is known of one checkpoint."""

    checkpoint: str
    x: int
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tracked:
    """Everything that a tracker is given of a report."""

    identity: str  # of what the report says, by whatever command: the same is the same run
    axis: Axis
    points: list[Point]  # along the axis
    comparisons: list[Comparison]


def tracked(report: Report) -> Tracked:
    """The report as points along its axis, and its comparisons as rows."""
    content = json.dumps(report.model_dump(mode="json", exclude={"made"}), sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    axis, places = _axis(report)
    points = [Point(name, place, _values(report, name)) for name, place in places.items()]
    in_order = sorted(points, key=lambda point: point.x)
    return Tracked(digest[:16], axis, in_order, [*comparisons(report)])


def _axis(report: Report) -> tuple[Axis, dict[str, int]]:
    notes = {note.name: note for note in report.checkpoints}
    names = dict.fromkeys([*notes, *(score.checkpoint for score in report.scores)])
    steps = {name: _steps(name, notes) for name in names}
    known = {name: step for name, step in steps.items() if step is not None}
    if len(known) == len(names) and any(known.values()):
        return "training_step", known
    return "place", {name: place for place, name in enumerate(names)}


def _steps(name: str, notes: dict[str, CheckpointNote]) -> int | None:
    """The steps from the first ancestor to a checkpoint; None where some are not known."""
    total, seen = 0, {name}
    while (note := notes.get(name)) and note.parent in notes and note.parent not in seen:
        if note.step is None:
            return None
        total, name = total + note.step, note.parent
        seen.add(name)
    return total + (note.step or 0) if note else total


def _values(report: Report, name: str) -> dict[str, float]:
    """Everything that is a number about one checkpoint."""
    found: dict[str, float | None] = {}
    for score in report.scores:
        if score.checkpoint == name:
            found[f"score/{score.task}"] = score.score
            found |= {f"{name}/{score.task}": value for name, value in score.metrics.items()}
            if score.ci:
                found[f"score_low/{score.task}"], found[f"score_high/{score.task}"] = score.ci
    for candidate in report.candidates:
        if candidate.name == name:
            found |= _of_candidate(
                candidate, "" if candidate.against == report.baseline else "parent_"
            )
    return {key: value for key, value in found.items() if value is not None}


def _of_candidate(candidate: CandidateVerdict, prefix: str) -> Iterator[tuple[str, float | None]]:
    units: list[tuple[str, str, Unit]] = [
        ("domain_", each.domain, each) for each in candidate.domains
    ]
    units += [("", each.task, each) for each in candidate.cells]
    for kind, name, unit in units:
        low, high = unit.ci or (None, None)
        yield f"{prefix}{kind}delta/{name}", unit.delta
        yield f"{prefix}{kind}delta_low/{name}", low
        yield f"{prefix}{kind}delta_high/{name}", high
        yield f"{prefix}{kind}verdict/{name}", VERDICTS.get(unit.verdict)
