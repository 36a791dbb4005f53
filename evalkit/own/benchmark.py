"""An entry of `tasks:` with a file of rows, made a task."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from evalkit import plugins
from evalkit.configuration.sections import TaskSection
from evalkit.errors import ConfigError, EvalkitError, did_you_mean
from evalkit.identity import identity
from evalkit.own.rows import SOLUTION, Misfit, Questions
from evalkit.types import Response, Sample, Sampling, Score, Scorer, Scoring, Source, Task

ASKED = ("prompt", "ask", "choices")
"""Keys of an entry that change what is asked."""


class Misfitting(ConfigError):
    """What is wrong with an entry, and under which of its keys."""

    def __init__(self, message: str, *where: str) -> None:
        super().__init__(message)
        self.where = where


def task(section: TaskSection, home: Path) -> Task:
    """The task that an entry defines; paths in it start from `home`.

    Raises Misfitting, and DataError where the first row is no such row.
    """
    scorer, scoring = _scorer(section, home)
    if section.ask == "loglikelihood" and not scorer.chooses:
        raise Misfitting("only options can be told apart by likelihood: `scorer: choice`", "ask")
    path = home / Path(section.data).expanduser()
    if not path.is_file():
        raise Misfitting(f"no file at {path}", "data")
    questions = Questions(section, scoring, scorer.chooses, path)
    try:
        questions.first()
    except Misfit as error:
        raise Misfitting(f"the first row of {section.data} {error}", error.key) from None
    except EvalkitError as error:
        raise Misfitting(str(error), "data") from None
    asked = section.model_dump(include={*ASKED})
    return Task(
        name=section.name,
        domain=section.domain,
        version=1,
        samples=questions,
        score=scoring,
        sampling=Sampling(),
        ask=section.ask,
        runs_code=scorer.runs_code,
        solution=Solution(scoring),
        source=Source("", "", section.name, {"test": "test"}, {}, ()),
        definition=identity.digest(asked).hex()[:12],
        scorer=_described(scorer, scoring, section),
    )


class Solution:
    """An answer that earns full marks: a row's own, else what its target tells."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring

    def __call__(self, sample: Sample) -> str:
        """The answer."""
        own = sample.metadata.get(SOLUTION)
        return self._scoring.solution(sample) if own is None else str(own)


@dataclass(frozen=True)
class Judged:
    """What a judge grades: by the rubric of the entry, which takes the place of this."""

    def expected(self, target: Any, choices: tuple[str, ...]) -> Any:
        """Whatever is compared with, where the rubric wants something."""
        return target

    def __call__(self, sample: Sample, response: Response) -> Score:
        """Is never asked."""
        raise TypeError("its answers are graded by a judge")

    def solution(self, sample: Sample) -> str:
        """The target."""
        return "" if sample.target is None else str(sample.target)


JUDGE = "judge"


def _scorer(entry: TaskSection, home: Path) -> tuple[Scorer, Scoring]:
    known: dict[str, Scorer] = plugins.all_plugins("scorers")
    section = entry.scorer
    if section is None and entry.rubric:
        return Scorer(JUDGE, Judged, ""), Judged()
    if section is None:
        named = did_you_mean("", known)
        raise Misfitting(f"needs a `scorer:`, or a `rubric:` for a judge{named}")
    if section.name == JUDGE:
        raise Misfitting("a judge needs a rubric: `rubric: file.md` in place of it", "scorer")
    if section.name not in known:
        hint = did_you_mean(section.name, known)
        raise Misfitting(f"unknown scorer {section.name!r}{hint}", "scorer", "name")
    found = known[section.name]
    for package in found.packages:
        if find_spec(package) is None:
            what = f"{found.name} needs {package}: pip install 'posttrain-evalkit[benchmarks]'"
            raise Misfitting(what, "scorer", "name")
    options = {
        key: _read(key, value, home) if key in found.files and isinstance(value, str) else value
        for key, value in section.options.items()
    }
    return found, _made(found, options)


def _made(scorer: Scorer, options: Mapping[str, Any]) -> Scoring:
    kind: Any = scorer.make
    assert is_dataclass(kind)
    known = {each.name: each for each in fields(kind)}
    for key in options:
        if key not in known:
            hint = did_you_mean(key, known) if known else "; it takes none"
            raise Misfitting(f"unknown option of {scorer.name}{hint}", "scorer", key)
    for name, each in known.items():
        if each.default is MISSING and name not in options:
            raise Misfitting(f"{scorer.name} needs a `{name}:`", "scorer")
    try:
        made: Scoring = TypeAdapter(kind).validate_python(dict(options))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        said = problem["msg"].removeprefix("Value error, ")
        key = str(problem["loc"][0]) if problem["loc"] else said.partition(":")[0]
        raise Misfitting(said.removeprefix(f"{key}: "), "scorer", key) from None
    return made


def _read(key: str, name: str, home: Path) -> Any:
    path = home / Path(name).expanduser()
    try:
        return orjson.loads(path.read_bytes())
    except OSError as error:
        raise Misfitting(f"{path}: {error.strerror}", "scorer", key) from None
    except ValueError as error:
        raise Misfitting(f"{path}: not JSON: {error}", "scorer", key) from None


def _described(scorer: Scorer, scoring: Scoring, section: TaskSection) -> str:
    """What grades, by content: its code, its options, and which field is the target."""
    whole = hashlib.sha256()
    for file in plugins.source_files(type(scoring).__module__):
        whole.update(Path(file).read_bytes())
    whole.update(identity.digest([repr(scoring), section.target]))
    return f"{scorer.name} {whole.hexdigest()[:12]}"
