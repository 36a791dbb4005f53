"""What the YAML may say, section by section, as typed values."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from evalkit.by_path import parted
from evalkit.comparison.policy import EVERYWHERE

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+@=-]*$")
Name = Annotated[str, Field(pattern=NAME.pattern, max_length=100)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _by_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _documents(value: object) -> object:
    return {"documents": value} if isinstance(value, str) else value


def _weighted(value: object) -> object:
    return {value: 1.0} if isinstance(value, str) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _points(value: object) -> object:
    return {"points": value} if _is_number(value) else value


def _everywhere(value: object) -> object:
    return {EVERYWHERE: value} if _is_number(value) else value


def _evaluated(value: object) -> object:
    steps = isinstance(value, list) and bool(value) and all(type(v) is int and v > 0 for v in value)
    if value not in ("final", "every_save") and not steps:
        raise ValueError("give final, every_save or a list of steps")
    return value


def _as_turn(value: object) -> object:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def _options(value: object) -> object:
    texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if not isinstance(value, str) and not texts:
        raise ValueError(
            "give the field of a row that lists the options, or the options themselves"
        )
    return value


def _role(value: object) -> object:
    return "off" if value is False else value  # YAML reads a bare `off` as false


class _Named(_Section):
    """A plugin by name; other keys are its own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The keys besides the name."""
        return dict(self.model_extra or {})


class BackendSection(_Named):
    """`backend:` how checkpoints are asked; other keys are the backend's own options."""


class TrainerSection(_Named):
    """`trainer:` who trains a stage; other keys are that trainer's own options."""


class ScorerSection(_Named):
    """`scorer:` how a benchmark of the user's own is graded; other keys are the scorer's own."""


BackendChoice = Annotated[BackendSection, BeforeValidator(_by_name)]


class RetrievalSection(_Section):
    """`retrieval:` of a checkpoint: a folder of documents, and what of it is shown."""

    documents: str
    k: int = Field(default=3, gt=0, le=100)
    words: int = Field(default=200, ge=10, le=10_000)
    template: str = ""


class CheckpointSection(_Section):
    """One entry of `checkpoints:`."""

    name: Name
    model: str = ""
    backend: BackendChoice | None = None
    format: Literal["chat", "completion", ""] = ""
    system_prompt: str = ""
    retrieval: Annotated[RetrievalSection, BeforeValidator(_documents)] | None = None
    identity: str = ""
    parent: str = ""


class StageSection(_Section):
    """One entry of `pipeline:`."""

    name: Name
    method: str
    trainer: Annotated[TrainerSection, BeforeValidator(_by_name)] | None = None
    parent: str = ""
    data: Annotated[dict[str, float], BeforeValidator(_weighted)] = {}
    reward: str = ""
    args: dict[str, Any] = {}
    lora: dict[str, Any] = {}
    accelerate: str = ""
    evaluate: Annotated[Any, BeforeValidator(_evaluated)] = "final"
    seed: int | None = None
    seeds: list[int] = []


class ExecutorSection(_Section):
    """`executor:` where checkpoints are asked."""

    name: Literal["in_process", "child", "devices"]
    devices: list[Annotated[str, BeforeValidator(_as_text)]] = []
    variable: str = Field(default="CUDA_VISIBLE_DEVICES", pattern=r"^[A-Z_][A-Z0-9_]*$")


class SamplingSection(_Section):
    """What a task's entry may say about sampling; what is left out is the task's own."""

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    stop: tuple[str, ...] | None = None


class PanelistSection(_Section):
    """One entry of `judge: panel:`; a model behind a backend, or a checkpoint of this file."""

    checkpoint: str = ""
    name: Name = "judge"
    model: str = ""
    base_url: str = ""
    backend: BackendChoice | None = None
    identity: str = ""


class JudgeSection(PanelistSection):
    """`judge:` one judge, or a panel of several, and how they are asked."""

    panel: list[PanelistSection] = []
    rule: Literal["mean", "median", "majority"] = "mean"
    repeats: int = Field(default=1, gt=0, le=100)
    retries: int = Field(default=0, ge=0, le=100)
    logprobs: bool = True
    sampling: SamplingSection = SamplingSection()
    labels: dict[str, str] = {}


class PriceSection(_Section):
    """One entry of `prices:`, per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class TurnSection(_Section):
    """One message of `prompt:`."""

    role: Literal["system", "user", "assistant"]
    content: str


OWN = ("prompt", "scorer", "domain", "ask", "id", "target", "choices", "stratum", "cluster")
"""What an entry of `tasks:` may say only of a benchmark of the user's own."""


class TaskSection(_Section):
    """One entry of `tasks:`: a task by name, or with `data:` a benchmark of the user's own."""

    name: str
    preset: str = ""
    rubric: str = ""
    epochs: int | None = Field(default=None, gt=0)
    sampling: SamplingSection = SamplingSection()
    gate: bool = False
    role: Annotated[Literal["detect", "off"], BeforeValidator(_role)] = "detect"
    weight: float = Field(default=1.0, ge=0)
    items: Literal["sample", "fixed"] = "sample"
    data: str = ""
    prompt: Annotated[tuple[TurnSection, ...], BeforeValidator(_as_turn)] = (
        TurnSection(role="user", content="{prompt}"),
    )
    scorer: Annotated[ScorerSection, BeforeValidator(_by_name)] | None = None
    domain: str = Field(default="own", min_length=1, max_length=100)
    ask: Literal["generate", "loglikelihood"] = "generate"
    id: str = "id"
    target: str = "target"
    choices: Annotated[Any, BeforeValidator(_options)] = "choices"
    stratum: str = ""
    cluster: str = ""

    @model_validator(mode="after")
    def _own_or_not(self) -> Self:
        if not self.data and (given := self.model_fields_set.intersection(OWN)):
            raise ValueError(
                f"`{min(given)}` is of a benchmark of your own: name its file, `data:`"
            )
        if self.data and self.preset:
            raise ValueError("a benchmark of your own has no presets: leave out `preset`")
        return self

    @property
    def label(self) -> str:
        """How the entry is called in reports."""
        name = parted(self.name)[1] or self.name
        parts = [part for part in (self.preset, PurePath(self.rubric).stem) if part]
        return f"{name}@{'-'.join(parts)}" if parts else name


Points = Annotated[float, Field(ge=0, le=100)]


class MarginSection(_Section):
    """One entry of `margins:`; a number is short for its points."""

    points: Points | None = None
    native: float | None = Field(default=None, ge=0)
    gate: bool = False

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if (self.points is None) == (self.native is None):
            raise ValueError("give either `points` or `native`, in the task's own unit")
        return self


Bound = Annotated[dict[str, Points], BeforeValidator(_everywhere)]


class BoundsSection(_Section):
    """`bounds:` the largest rates tolerated, in points: of all tasks, or by task and domain."""

    truncated: Bound = {}
    unparsed: Bound = {}
    refused: Bound = {}
    errored: Bound = {}


class GateSection(_Section):
    """`gate:` the losses tolerated, in points, fixed before the run, and what fails it."""

    margins: dict[str, Annotated[MarginSection, BeforeValidator(_points)]] = {}
    bounds: BoundsSection = BoundsSection()
    on_inconclusive: Literal["fail", "warn"] = "fail"
    suspect: Literal["fail", "warn"] = "warn"
    fail_on: Literal["regressed", "any-decline"] = "regressed"
    family: Literal["candidate", "run"] = "candidate"


class Config(_Section):
    """The whole file."""

    baseline: str
    checkpoints: list[CheckpointSection] = []
    pipeline: list[StageSection] = []
    backend: BackendChoice = BackendSection(name="transformers_local")
    executor: Annotated[ExecutorSection, BeforeValidator(_by_name)] | None = None
    judge: JudgeSection | None = None
    prices: dict[str, PriceSection] = {}
    tasks: Annotated[list[Annotated[TaskSection, BeforeValidator(_by_name)]], Field(min_length=1)]
    data: dict[str, str] = {}
    gate: GateSection = GateSection()
    reports: list[str] = ["markdown"]
    results: str = ""
    limit: int | None = Field(default=None, ge=2)  # an estimate takes two items
    seed: int = 0
