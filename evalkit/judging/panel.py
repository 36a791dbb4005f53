"""Who judges: one judge or several, how often each is asked, and how their grades become one."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from evalkit.identity import identity
from evalkit.matrix import Matrix, Row, Rule
from evalkit.types import Backend, Checkpoint, Rubric, Sampling


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge of this run: who it is and how it is asked."""

    checkpoint: Checkpoint
    backend: Backend

    @property
    def name(self) -> str:
        """How it is called in reports."""
        return self.checkpoint.name

    @property
    def model(self) -> str:
        """The name that its server, and a table of prices, knows it by; of a folder, our own."""
        known = str(self.checkpoint.options.get("model") or self.checkpoint.model)
        return known if known and not Path(known).is_absolute() else self.name

    @property
    def identity(self) -> str:
        """What a judgment's key and a cell's exam name: the model and how it is addressed."""
        return identity.digest(identity.treatment(self.checkpoint)).hex()[:16]


@dataclass(frozen=True)
class Panel:
    """The judges of a run."""

    judges: tuple[Judge, ...]
    rule: Rule = "mean"
    repeats: int = 1  # how often each judge is asked the same
    retries: int = 0  # how often a judgment that cannot be read is asked for again
    sampling: Mapping[str, Any] = field(default_factory=dict)  # what differs from the rubric's
    logprobs: bool = True  # False: judges cannot give them, and only the word they say counts

    @classmethod
    def of(cls, matrix: Matrix) -> Panel | None:
        """The panel of a matrix; None where nobody judges."""
        if matrix.judge is None:
            return None
        jury = matrix.jury
        judges = tuple(map(_judge, (matrix.judge, *jury.others)))
        return cls(
            judges, jury.rule, jury.repeats, jury.retries, dict(jury.sampling), jury.logprobs
        )

    @property
    def name(self) -> str:
        """How it is called in reports."""
        return ", ".join(judge.name for judge in self.judges)

    def asked_by(self, rubric: Rubric) -> Sampling:
        """The sampling in force."""
        return replace(rubric.sampling, **self.sampling)

    def top_logprobs(self, rubric: Rubric) -> int:
        """How many of the likeliest tokens are asked for."""
        return rubric.top_logprobs if self.logprobs else 0

    def described(self, rubric: Rubric) -> dict[str, Any]:
        """What must be equal for two cells to have been judged alike, but for the prompts.

        In the types of JSON, since it is compared with what a cell has kept.
        """
        sampling = self.asked_by(rubric)
        return {
            "judges": ", ".join(f"{judge.model} #{judge.identity}" for judge in self.judges),
            "rule": self.rule if len(self.judges) > 1 else "",
            "repeats": self.repeats,
            "sampling": {**asdict(sampling), "stop": list(sampling.stop)},
            "top_logprobs": self.top_logprobs(rubric),
            "rubric": rubric.version,
        }

    def together(self, grades: Sequence[float], scale: tuple[float, float]) -> float:
        """One grade of all judges'."""
        if self.rule == "median":
            return statistics.median(grades)
        if self.rule == "majority":
            return majority(grades, scale)
        return statistics.fmean(grades)


def majority(grades: Sequence[float], scale: tuple[float, float]) -> float:
    """What most judges say, and the middle where no verdict has most of them.

    On a scale from 0 to 1 a verdict is a side: won, lost, or a tie; on any other a whole grade.
    """
    low, high = scale
    middle = (low + high) / 2
    if scale == (0.0, 1.0):
        sides = [high if grade > middle else low if grade < middle else middle for grade in grades]
    else:
        sides = [float(round(grade)) for grade in grades]
    (most, count), *others = Counter(sides).most_common()
    if others and others[0][1] == count:
        return middle if scale == (0.0, 1.0) else statistics.median(grades)
    return most


def _judge(row: Row) -> Judge:
    return Judge(row.checkpoint, row.backend)
