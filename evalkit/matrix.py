"""The matrix: which checkpoints sit which exams, who judges, and what is compared with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from evalkit.types import Backend, Checkpoint, Stage

if TYPE_CHECKING:
    from evalkit.comparison.policy import Policy
    from evalkit.contamination.learned import Learned
    from evalkit.exams.exam import Exam

Rule: TypeAlias = Literal["mean", "median", "majority"]
"""How the grades of several judges become one."""


@dataclass(frozen=True)
class Row:
    """One checkpoint of the matrix and how it is asked."""

    checkpoint: Checkpoint
    backend: Backend


@dataclass(frozen=True)
class Price:
    """What a model costs, in the unit of the user's table, per million tokens."""

    input: float
    output: float


@dataclass(frozen=True)
class Jury:
    """How it is judged, besides who judges first."""

    others: tuple[Row, ...] = ()
    rule: Rule = "mean"
    repeats: int = 1
    retries: int = 0
    sampling: Mapping[str, Any] = field(default_factory=dict)
    logprobs: bool = True
    labels: Mapping[str, Path] = field(default_factory=dict)  # task -> labelled answers


@dataclass(frozen=True)
class Execution:
    """Where checkpoints are asked."""

    name: Literal["", "in_process", "child", "devices"] = ""  # "": a child for what takes a GPU
    devices: tuple[str, ...] = ()  # a child at a time for each
    variable: str = "CUDA_VISIBLE_DEVICES"  # says to a child which device is its own


@dataclass(frozen=True)
class Matrix:
    """Everything a run is made of."""

    baseline: str
    rows: tuple[Row, ...]  # in the order of the file, stages after declared checkpoints
    stages: tuple[Stage, ...]  # `parent` is a name still, `out` is empty: see run.py
    exams: tuple[Exam, ...]
    judge: Row | None
    policy: Policy
    reports: tuple[str, ...]
    seed: int = 0
    recipes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # a checkpoint a seed
    jury: Jury = Jury()
    prices: Mapping[str, Price] = field(default_factory=dict)  # model -> what it costs
    execution: Execution = Execution()
    registered: str = ""  # the identity that the baseline must have, if the registry says one
    runs: Mapping[str, Path] = field(default_factory=dict)  # a stage's folder, once it is trained
    notes: tuple[str, ...] = ()  # what a reader must know of the training
    # checkpoint or stage -> exam -> what of it was learned
    learned: Mapping[str, Mapping[str, Learned]] = field(default_factory=dict)

    def row(self, name: str) -> Row:
        """The row of that name, the judges' included."""
        return next(row for row in (*self.rows, *self.judges) if row.checkpoint.name == name)

    @property
    def judges(self) -> tuple[Row, ...]:
        """Everybody who judges."""
        return (self.judge, *self.jury.others) if self.judge else ()

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(candidate, against): each against the baseline first, then against its parent.

        A recipe stands for its seeds' checkpoints; its parent is the one checkpoint that all of
        them started from, or the recipe whose seeds they started from one by one.
        """
        seeds = {member for group in self.recipes.values() for member in group}
        parents = {
            row.checkpoint.name: row.checkpoint.parent
            for row in self.rows
            if row.checkpoint.name not in seeds
        } | {name: self._parent(group) for name, group in self.recipes.items()}
        known = {row.checkpoint.name for row in self.rows} | {*self.recipes}
        names = [name for name in parents if name != self.baseline]
        return [
            *((name, self.baseline) for name in names),
            *(
                (name, parents[name])
                for name in names
                if parents[name] in known and parents[name] != self.baseline
            ),
        ]

    def _parent(self, group: tuple[str, ...]) -> str:
        parents = tuple(self.row(name).checkpoint.parent for name in group)
        if len(set(parents)) == 1:
            return parents[0]
        return next((name for name, other in self.recipes.items() if other == parents), "")
