"""The verdict of a run, as it is written to `verdict.json`.

These classes are the file's schema: `verdict.schema.json` is generated from them, every renderer
reads them, and nothing else is ever rendered.  Scores, deltas, intervals and margins are
fractions of the oriented scale: 0.01 is one point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["improved", "no_regression", "regressed", "inconclusive", "invalid"]
Overall = Literal["improved", "passed", "regressed", "inconclusive", "invalid"]
Interval = tuple[float, float]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Unit(_Model):
    """What a cell and a domain have in common: an estimate and what may be said of it."""

    domain: str
    verdict: Outcome
    reason: str = Field("", description="why it is invalid or inconclusive, in words")
    delta: float | None = Field(None, description="candidate - against, oriented; null if invalid")
    ci: Interval | None = Field(None, description="90 % two-sided: each limit a 5 % bound")
    margin: float | None = Field(None, description="the loss tolerated; null: none was configured")
    gates: bool = Field(False, description="whether it can hold a candidate up")
    p_regressed: float | None = None
    p_regressed_adjusted: float | None = Field(None, description="over the whole family")
    p_improved: float | None = None
    p_improved_adjusted: float | None = None
    flags: list[str] = []


class Outcomes(_Model):
    """How the samples of both sides ended: outcome class -> count of samples."""

    baseline: dict[str, int] = {}
    candidate: dict[str, int] = {}


class CellVerdict(Unit):
    """One task: the candidate against another checkpoint, on the same items."""

    task: str
    n: int = Field(0, description="items that both sides answered")
    epochs: tuple[int, int] = Field((1, 1), description="answers asked per item, of each side")
    baseline_score: float | None = Field(None, description="of the checkpoint compared against")
    candidate_score: float | None = None
    lost: float = Field(0, description="sum of the falls in item score; a count where k = 1")
    gained: float = 0
    mde80: float | None = Field(None, description="smallest decline called regressed 80 % of times")
    method: str = Field("", description="the interval: tango | quasi_tango | cluster | ...")
    comparable: bool = True
    differences: list[str] = Field([], description="what differs besides the weights")
    outcomes: Outcomes = Outcomes()
    lost_to: dict[str, int] = Field({}, description="lost samples by what became of them")
    completed: tuple[float, float] | None = Field(
        None, description="scores of both sides on samples whose answers are complete"
    )
    native: tuple[float, float] | None = Field(
        None, description="both scores in the task's own unit, where that is not the fraction"
    )


class DomainVerdict(Unit):
    """The weighted mean of a domain's cells."""


class CandidateVerdict(_Model):
    """One checkpoint against another."""

    name: str
    against: str
    verdict: Overall
    exit_code: int
    domains: list[DomainVerdict] = []
    cells: list[CellVerdict] = []


class CheckpointNote(_Model):
    """One checkpoint of the matrix: where it comes from and what it is."""

    name: str
    identity: str = ""
    parent: str = ""
    method: str = ""
    backend: str = ""


class CheckpointScore(_Model):
    """How one checkpoint did in one task, by itself."""

    checkpoint: str
    task: str
    domain: str
    n: int
    epochs: int = 1
    score: float | None = Field(None, description="mean over items, oriented to [0, 1]")
    ci: Interval | None = Field(None, description="90 %; for display, never for comparing")
    outcomes: dict[str, int] = {}


class JudgeNote(_Model):
    """How far the judge of a task may be trusted."""

    task: str
    judge: str
    accuracy: float | None = Field(None, description="on held-out labelled pairs, both orders")
    flip_rate: float | None = Field(None, description="audit pairs whose verdict turns with order")
    pairs: int = 0
    advisory: bool = Field(False, description="too weak to decide anything: its cells never gate")


class Report(_Model):
    """Everything that one run of the matrix has to say."""

    schema_version: Literal[1] = 1
    baseline: str
    alpha: float = 0.05
    ci_level: float = 0.90
    verdict: Overall
    exit_code: int
    candidates: list[CandidateVerdict] = []
    checkpoints: list[CheckpointNote] = []
    scores: list[CheckpointScore] = []
    judges: list[JudgeNote] = []
    notes: list[str] = Field([], description="what a reader must know: replayed answers, ...")


@dataclass(frozen=True, slots=True)
class Renderer:
    """A way of showing a report: the plugin that a module of `reports/` declares."""

    name: str
    filename: str  # what it is called in the report folder
    render: Callable[[Report], str]
