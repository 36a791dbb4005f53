"""What a comparison is between: the cells of one task, as found in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evalkit.comparison import unpaired
from evalkit.comparison.arm import Arm
from evalkit.comparison.scores import load
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
class Sides:
    """The two cells of one task; None where there is no such cell, or no scores in it."""

    task: str
    domain: str
    baseline: Side | Recipe | None
    candidate: Side | Recipe | None


def cells_of(side: Side | Recipe) -> Sequence[Side]:
    """Its cells: one, or one a training seed."""
    return [side] if isinstance(side, Side) else side.sides
