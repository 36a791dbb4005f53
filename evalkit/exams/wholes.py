"""Exams that are judged as one, though they are asked as several tasks.

A task says of what whole it is a part, and with that which parts there are: whether all are here
is told from it, never from what happens to be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evalkit.types import Whole


@dataclass(frozen=True, slots=True)
class Joint:
    """A whole of which every part is here, by what all of them are called in reports."""

    label: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Joints:
    """Which wholes there are, and which parts stand without some of the others."""

    whole: tuple[Joint, ...] = ()
    lone: Mapping[str, str] = field(default_factory=dict)  # part -> what of its whole is lacking

    def of(self, part: str) -> Joint | None:
        """What a task is judged as a part of, where it is."""
        return next((each for each in self.whole if part in each.parts), None)

    def judged_as(self, label: str) -> str:
        """What a task counts as: itself, or the whole that it is a part of."""
        joint = self.of(label)
        return joint.label if joint else label

    @property
    def shown(self) -> dict[str, str]:
        """The parts, which are displayed only, and why in words."""
        parts = {part: each.label for each in self.whole for part in each.parts}
        return {
            part: f"displayed only: a part of {label}, which is judged as one"
            for part, label in parts.items()
        } | {part: f"displayed only: {lacking}" for part, lacking in self.lone.items()}

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the parts that are judged with no whole."""
        return [f"{part} is displayed only: {lacking}" for part, lacking in self.lone.items()]


def joints(parts: Mapping[str, Whole | None]) -> Joints:
    """The wholes of these tasks, each by its label; parts of one preset belong together."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for label, whole in parts.items():
        if whole:
            _, at, preset = label.partition("@")
            due = tuple(f"{part}{at}{preset}" for part in whole.parts)
            groups.setdefault((f"{whole.name}{at}{preset}", due), []).append(label)
    found: list[Joint] = []
    lone: dict[str, str] = {}
    for (name, due), there in groups.items():
        if lacking := _lacking(name, due, parts):
            lone |= dict.fromkeys(there, lacking)
        else:
            found.append(Joint(name, due))
    return Joints(tuple(found), lone)


def _lacking(name: str, due: tuple[str, ...], there: Mapping[str, Whole | None]) -> str:
    absent = [part for part in due if part not in there]
    if absent:
        return f"{name} is judged as one, and {', '.join(absent)} is not here"
    return f"another task goes by {name}, which it is a part of" if name in there else ""


def whole_of(meta: Mapping[str, Any]) -> Whole | None:
    """What a `cell.json` says that its task is a part of."""
    match meta.get("part_of"):
        case {"name": str(name), "parts": list(parts)}:
            return Whole(name, tuple(map(str, parts)))
    return None
