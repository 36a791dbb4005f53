"""What a comparison is between: the cells of one task, as found in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from evalkit.comparison import unpaired
from evalkit.comparison.arm import Arm
from evalkit.comparison.comparability import exam_of
from evalkit.comparison.joining import joined, unlike
from evalkit.comparison.scores import load
from evalkit.errors import StoreError
from evalkit.storage.store import Cell

if TYPE_CHECKING:
    from evalkit.series.recipe import Recipe


@dataclass(frozen=True)
class Side:
    """One checkpoint's cell of one task, as found in the store."""

    cell: Cell
    meta: Mapping[str, Any]  # what `cell.json` says
    preset: str = ""

    @cached_property
    def arm(self) -> Arm:
        """Its scores, read once; raises StoreError where they cannot be read."""
        return load(self.cell, self.meta, self.preset)

    def release(self) -> None:
        """Lets go of its scores, which would be read again if they were needed again."""
        vars(self).pop("arm", None)

    @property
    def summary(self) -> unpaired.Summary:
        """Its score alone; raises StoreError where there is none."""
        if unpaired.bare(self.meta):
            return unpaired.published(self.meta)
        return unpaired.summary(self.arm)


@dataclass(frozen=True)
class Joined:
    """One checkpoint's cells of all parts of an exam, as one cell with the items of all."""

    parts: Mapping[str, Side | Recipe | None]  # by task; None where there are no scores

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the `cell.json` of the first part there is says."""
        return next((part.meta for part in self.parts.values() if part), {})

    @cached_property
    def arm(self) -> Arm:
        """The scores of all parts; raises StoreError where one is absent, or unlike the rest."""
        known = self.known
        arms = {task: part.arm for task, part in known.items()}
        if reason := self.split or unlike(arms):
            raise StoreError(reason)
        return joined([*arms.values()])

    @property
    def known(self) -> dict[str, Side | Recipe]:
        """Every part; raises StoreError where one has no scores."""
        for task, part in self.parts.items():
            if part is None:
                raise StoreError(f"{task}: it has no scores here: run the matrix")
        return {task: part for task, part in self.parts.items() if part}

    @property
    def split(self) -> str:
        """Why what the parts have cannot be one mean over items; empty where it can."""
        parts = [(task, part.meta) for task, part in self.parts.items() if part]
        for task, meta in parts:
            if exam_of(meta).get("fitted"):
                return f"{task} has a fitted headline, which is no mean over items"
            if unpaired.bare(meta):
                return f"{task} is a bare score, which says nothing of items"
            if (own := meta.get("domain")) != (first := parts[0][1].get("domain")):
                return f"{parts[0][0]} is of {first}, {task} of {own}: name one domain for both"
        return ""

    def release(self) -> None:
        """Lets go of the scores, which would be read again if they were needed again."""
        vars(self).pop("arm", None)
        for part in self.parts.values():
            if part:
                part.release()


AnySide: TypeAlias = "Side | Recipe | Joined"
"""What a checkpoint is held against another by: a cell, or several that count as one."""


@dataclass(frozen=True)
class Sides:
    """The two cells of one task; None where there is no such cell, or no scores in it."""

    task: str
    domain: str
    baseline: AnySide | None
    candidate: AnySide | None


def cells_of(side: AnySide | None) -> Sequence[Side]:
    """Its cells: one, or one a training seed; of an exam in parts those of each part."""
    if side is None:
        return []
    if isinstance(side, Joined):
        return [cell for part in side.parts.values() for cell in cells_of(part)]
    return [side] if isinstance(side, Side) else side.sides


def one_of(side: AnySide | None) -> Side | Recipe | None:
    """Itself, or one part of an exam in parts: all of them have as many training seeds."""
    return next(iter(side.parts.values())) if isinstance(side, Joined) else side
