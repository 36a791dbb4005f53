"""The user's file: YAML that names things, read into typed values.

Every error says `file:line: key: message`.  There is no interpolation, no class path and no code
in the file; relative paths in it start from the file's own folder.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ValidationError,
)
from pydantic_core import ErrorDetails

from evalkit.comparison.policy import EVERYWHERE
from evalkit.configuration.sections import (
    BackendSection,
    BoundsSection,
    CheckpointSection,
    Config,
    ExecutorSection,
    GateSection,
    JudgeSection,
    MarginSection,
    PanelistSection,
    PriceSection,
    RetrievalSection,
    SamplingSection,
    ScorerSection,
    StageSection,
    TaskSection,
    TrainerSection,
    TurnSection,
)
from evalkit.errors import ConfigError, did_you_mean

MOST_NODES = 100_000
"""A file that says more, its aliases written out, is a mistake or a bomb."""

Location = tuple[str | int, ...]


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
