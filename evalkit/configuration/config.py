"""The user's file: YAML that names things, read into typed values.

Every error says `file:line: key: message`.  There is no interpolation, no class path and no code
in the file; relative paths in it start from the file's own folder.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from evalkit.by_path import parted
from evalkit.comparison.policy import EVERYWHERE
from evalkit.errors import ConfigError, did_you_mean

MOST_NODES = 100_000
"""A file that says more, its aliases written out, is a mistake or a bomb."""

Location = tuple[str | int, ...]

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


class Loaded:
    """A config with the file it came from, so that errors can point into it."""

    def __init__(self, path: Path, config: Config, lines: dict[Location, int]) -> None:
        self.path = path
        self.config = config
        self._lines = lines

    def error(self, where: Location, message: str) -> ConfigError:
        """An error that points at a place of the file."""
        return _error(self.path, self._lines, where, message)

    def replaced(self, **changes: Any) -> Loaded:
        """The same file with some of its top keys saying something else."""
        return Loaded(self.path, self.config.model_copy(update=changes), self._lines)

    def staged(self, stages: Sequence[tuple[int, StageSection]]) -> Loaded:
        """The same file with other stages, each with the place in the file that it comes from."""
        lines = {at: line for at, line in self._lines.items() if at[:1] != ("pipeline",)}
        for new, (old, _) in enumerate(stages):
            for at, line in self._lines.items():
                if at[:2] == ("pipeline", old):
                    lines["pipeline", new, *at[2:]] = line
        config = self.config.model_copy(update={"pipeline": [stage for _, stage in stages]})
        return Loaded(self.path, config, lines)

    def resolve(self, path: str) -> Path:
        """A path of the file, from the file's folder if relative."""
        return (self.path.parent / Path(path).expanduser()).resolve()


def load(path: Path) -> Loaded:
    """Reads and checks a file; raises ConfigError on the first thing wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    lines: dict[Location, int] = {}
    value = _parsed(path, text, lines)
    try:
        config = Config.model_validate(value)
    except ValidationError as error:
        raise _first_error(path, lines, value, error) from None
    return Loaded(path.absolute(), config, lines)


def _parsed(path: Path, text: str, lines: dict[Location, int]) -> dict[str, Any]:
    """The file's values; notes in `lines` where each of them stands."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise ConfigError(f"{path}: the file is empty; see examples/quickstart.yaml")
        _note_lines(path, node, (), lines)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply, or an alias that holds itself") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{path}:1: expected keys such as `baseline:` and `tasks:`")
    return value


def _note_lines(path: Path, node: yaml.Node, at: Location, lines: dict[Location, int]) -> None:
    lines[at] = node.start_mark.line + 1
    if len(lines) > MOST_NODES:
        raise ConfigError(f"{path}: its aliases come to over {MOST_NODES} entries; write less")
    if isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{path}:{line}: a key must be a plain name")
            if key.value in seen:
                raise ConfigError(f"{path}:{line}: {key.value}: given twice; keep one")
            seen.add(key.value)
            here = (*at, key.value)
            _note_lines(path, value, here, lines)
            lines[here] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note_lines(path, value, (*at, index), lines)


def _error(path: Path, lines: dict[Location, int], where: Location, message: str) -> ConfigError:
    known = where
    while known and known not in lines:
        known = known[:-1]
    key = _dotted(where)
    return ConfigError(f"{path}:{lines.get(known, 1)}: {key + ': ' if key else ''}{message}")


def _dotted(where: Location) -> str:
    out = ""
    for part in where:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def _first_error(
    path: Path, lines: dict[Location, int], value: Any, error: ValidationError
) -> ConfigError:
    # A misspelt key is an unknown one and a missing one: the former can say what was meant.
    problems = error.errors(include_url=False)
    problem = min(problems, key=lambda each: each["type"] != "extra_forbidden")
    where = tuple(part for part in problem["loc"] if part != "[key]")
    absent = problem["type"] == "missing"
    while not absent and where not in lines and where[-1:] in (("points",), (EVERYWHERE,)):
        where = where[:-1]  # a number was given for the whole entry
    return _error(path, lines, where, _message(problem, where))


def _message(problem: ErrorDetails, where: Location) -> str:
    if problem["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(str(where[-1]), _keys_at(where[:-1]))}"
    if problem["type"] == "missing":
        return "is required and is not there"
    if problem["type"] == "too_short":
        return "is empty; give at least one"
    if problem["type"] == "string_pattern_mismatch":
        return f"{problem['input']!r} cannot be a name: letters, digits and ._+@=- only"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    given = problem["input"]
    shown = f" (given {given!r})" if isinstance(given, str | int | float | None) else ""
    said = problem["msg"].removeprefix("Value error, ")
    return said[0].lower() + said[1:] + shown


def _keys_at(where: Location) -> Sequence[str]:
    model: Any = Config
    for part in where:
        if isinstance(part, int):
            continue
        model = _SECTIONS.get(part, model)
    return list(model.model_fields)


_SECTIONS: dict[str, type[BaseModel]] = {
    "checkpoints": CheckpointSection,
    "retrieval": RetrievalSection,
    "pipeline": StageSection,
    "backend": BackendSection,
    "trainer": TrainerSection,
    "executor": ExecutorSection,
    "judge": JudgeSection,
    "panel": PanelistSection,
    "prices": PriceSection,
    "tasks": TaskSection,
    "sampling": SamplingSection,
    "prompt": TurnSection,
    "scorer": ScorerSection,
    "gate": GateSection,
    "margins": MarginSection,
    "bounds": BoundsSection,
}
