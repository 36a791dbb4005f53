"""Where each checkpoint stands along its training: what the curves have as their axis.

Checkpoints of one line stand in the order of training; within a stage whose steps are known, in
proportion to them.  Where lines branch, every checkpoint has a place of its own, in the order of
the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.verdict import CheckpointNote, Report


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of the axis over which one method trained."""

    start: float
    end: float
    method: str


@dataclass(frozen=True, slots=True)
class Track:
    """The axis of training."""

    places: Mapping[str, float]  # of each checkpoint, in order
    before: Mapping[str, str]  # the checkpoint that came just before, where there is one
    stages: list[Stage] = field(default_factory=list)  # none where lines branch

    @property
    def end(self) -> float:
        """The last place."""
        return max(self.places.values())


def track(report: Report) -> Track:
    """The axis of a report's checkpoints."""
    notes = {note.name: note for note in report.checkpoints}
    names = dict.fromkeys([*notes, *(score.checkpoint for score in report.scores)])
    names |= dict.fromkeys([report.baseline, *(each.name for each in report.candidates)])
    before = {name: found for name, note in notes.items() if (found := _before(note, notes))}
    line = _line(list(names), before)
    if not line:
        return Track({name: float(at) for at, name in enumerate(names)}, before)
    places = _places(line, before, notes)
    return Track(places, before, _stages(line, places, notes))


def _before(note: CheckpointNote, notes: Mapping[str, CheckpointNote]) -> str:
    """The checkpoint saved before it in its own stage, else its parent."""
    if note.step is not None:
        earlier = [
            (other.step, other.name)
            for other in notes.values()
            if (other.parent, other.method) == (note.parent, note.method)
            and other.step is not None
            and other.step < note.step
        ]
        if earlier:
            return max(earlier)[1]
    return note.parent if note.parent in notes else ""


def _line(names: list[str], before: Mapping[str, str]) -> list[str]:
    """The names in the order of training, if they are a single line; else nothing."""
    after = {earlier: name for name, earlier in before.items()}
    first = [name for name in names if name not in before]
    if len(first) != 1 or len(after) < len(before):
        return []
    line = first
    while line[-1] in after and len(line) < len(names):
        line.append(after[line[-1]])
    return line if len(line) == len(names) else []


def _places(
    line: list[str], before: Mapping[str, str], notes: Mapping[str, CheckpointNote]
) -> dict[str, float]:
    """A stage is as wide as it has checkpoints; within it they stand by their steps, if known."""
    places = {line[0]: 0.0}
    for stage in _by_stage(line, notes):
        start = places[before[stage[0]]]
        steps = [notes[name].step for name in stage]
        known = [step for step in steps if step]
        for at, name in enumerate(stage, 1):
            share = at / len(stage)
            if len(known) == len(stage):
                share = known[at - 1] / known[-1]
            places[name] = start + len(stage) * share
    return places


def _by_stage(line: list[str], notes: Mapping[str, CheckpointNote]) -> list[list[str]]:
    """The line after its first, cut where the parent or the method changes."""
    stages: list[list[str]] = []
    last: tuple[str, str] | None = None
    for name in line[1:]:
        note = notes[name]
        if (note.parent, note.method) != last or note.step is None:
            stages.append([])
        last = (note.parent, note.method)
        stages[-1].append(name)
    return stages


def _stages(
    line: list[str], places: Mapping[str, float], notes: Mapping[str, CheckpointNote]
) -> list[Stage]:
    found: list[Stage] = []
    for name, earlier in zip(line[1:], line, strict=False):
        method = notes[name].method
        if found and found[-1].method == method:
            found[-1] = Stage(found[-1].start, places[name], method)
        else:
            found.append(Stage(places[earlier], places[name], method))
    return [stage for stage in found if stage.method]
