"""Which cells a report is about: those of a run, or those that a results folder holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.comparison import unpaired
from evalkit.comparison.comparability import under
from evalkit.comparison.sides import AnySide, Joined, Side, Sides, one_of
from evalkit.exams.wholes import Joints, joints, whole_of
from evalkit.seat import Seat
from evalkit.series.recipe import Recipe
from evalkit.storage.store import Store
from evalkit.types import Whole


@dataclass(frozen=True)
class Found:
    """One checkpoint's cell of one task."""

    checkpoint: str
    task: str  # as it is called in reports: with its preset, if any
    domain: str
    side: AnySide | None  # None: nothing was measured
    part_of: Whole | None = None

    def release(self) -> None:
        """Lets go of its samples, which are read again if they are needed again."""
        if self.side:
            self.side.release()


def found_of(seat: Seat) -> Found:
    """The cell of a seat, as far as it was graded."""
    preset = seat.exam.task.preset
    meta = seat.cell.meta()
    measured = preset in meta.get("exams", {}) and seat.cell.scores_path(preset).exists()
    side = Side(seat.cell, under(meta, preset), preset) if measured else None
    task = seat.exam.task
    return Found(seat.row.checkpoint.name, seat.exam.label, task.domain, side, task.part_of)


def stored(store: Store) -> Iterable[Found]:
    """Every scored cell by each of its names; of one name and task, the one used last is last."""
    for cell in sorted(
        store.cells(), key=lambda cell: (cell.path / "cell.json").stat().st_mtime_ns
    ):
        meta = cell.meta()
        for preset in meta.get("exams", {}):
            if cell.scores_path(preset).exists() or unpaired.bare(meta):
                task = f"{meta['task']}@{preset}" if preset else meta["task"]
                side = Side(cell, under(meta, preset), preset)
                for name in meta.get("names", [meta["checkpoint"]["name"]]):
                    yield Found(name, task, meta["domain"], side, whole_of(meta))


def sides_of(found: Sequence[Found]) -> Callable[[str, str], list[Sides]]:
    """What a checkpoint is held against another by, task by task, given both their names."""
    by_name = {(cell.checkpoint, cell.task): cell.side for cell in found}
    domains = {cell.task: cell.domain for cell in found}

    def sides(name: str, against: str) -> list[Sides]:
        return [
            Sides(task, domain, by_name.get((against, task)), by_name.get((name, task)))
            for task, domain in domains.items()
        ]

    return sides


def with_recipes(found: Sequence[Found], recipes: Mapping[str, Sequence[str]]) -> list[Found]:
    """The cells, and after them those of every recipe: its seeds' of one task together."""
    sides = {(cell.checkpoint, cell.task): cell.side for cell in found}
    tasks = {cell.task: cell for cell in found}
    averaged = []
    for name, group in recipes.items():
        for task, cell in tasks.items():
            each = [side for m in group if isinstance(side := sides.get((m, task)), Side)]
            whole = Recipe(tuple(group), tuple(each)) if len(each) == len(group) else None
            averaged.append(replace(cell, checkpoint=name, side=whole))
    return [*found, *averaged]


def joints_of(found: Iterable[Found]) -> Joints:
    """The exams in parts of which these cells are."""
    return joints({cell.task: cell.part_of for cell in found})


def with_wholes(found: Sequence[Found]) -> list[Found]:
    """The cells, and before the first part of an exam in parts the one that all of them make."""
    known = joints_of(found)
    sides = {(cell.checkpoint, cell.task): one_of(cell.side) for cell in found}
    told: set[tuple[str, str]] = set()
    whole: list[Found] = []
    for cell in found:
        joint = known.of(cell.task)
        key = (cell.checkpoint, joint.label) if joint else None
        if joint and key and key not in told:
            told.add(key)
            parts = {part: sides.get((cell.checkpoint, part)) for part in joint.parts}
            whole.append(Found(*key, cell.domain, Joined(parts)))
        whole.append(cell)
    return whole
