"""A config to its matrix: every name turned into the thing it names, and checked.

Nothing is loaded, trained or asked here, so that a misspelt name costs a second, not a night.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evalkit import plugins
from evalkit.comparison.gating import check_fixed, policy_of
from evalkit.configuration.config import Loaded, Location
from evalkit.configuration.declared import backend_of, declared_row
from evalkit.configuration.naming import named
from evalkit.configuration.sections import (
    NAME,
    BackendSection,
    PanelistSection,
    StageSection,
    TaskSection,
)
from evalkit.configuration.staging import scores_only, stages
from evalkit.errors import EvalkitError, UnknownName, did_you_mean
from evalkit.exams.exam import Exam, sit
from evalkit.matrix import Execution, Jury, Matrix, Price, Row
from evalkit.own.benchmark import Misfitting
from evalkit.series.seeds import with_seeds
from evalkit.types import Checkpoint


def resolve(loaded: Loaded, limit: int | None = None) -> Matrix:
    """The matrix a config describes; raises ConfigError pointing at the line that is wrong."""
    loaded, recipes = with_seeds(loaded)
    config = loaded.config
    _check_names(loaded)
    exams = exams_of(loaded, limit or config.limit)
    check_fixed(loaded, exams, seeds=bool(recipes))
    trained = stages(loaded)
    judges = _judges(loaded)
    judging = {judge.checkpoint.name for judge in judges}
    rows = [
        declared_row(loaded, index, section) for index, section in enumerate(config.checkpoints)
    ] + [
        _trained(loaded, section)
        for section in config.pipeline
        if section.name not in judging and not scores_only(section)
    ]
    names = [row.checkpoint.name for row in rows]
    if config.baseline not in names:
        hint = did_you_mean(config.baseline, names)
        raise loaded.error(("baseline",), f"no checkpoint goes by {config.baseline!r}{hint}")
    for exam in exams:
        if exam.task.rubric and not judges:
            raise loaded.error(_place(loaded, exam), f"{exam.label} is judged: name a `judge:`")
    for index, name in enumerate(config.reports):
        try:
            plugins.report_format(name)
        except EvalkitError as error:
            raise loaded.error(("reports", index), str(error)) from None
    return Matrix(
        config.baseline,
        tuple(rows),
        trained,
        exams,
        judges[0] if judges else None,
        policy_of(loaded, exams),
        tuple(config.reports),
        config.seed,
        recipes,
        _jury(loaded, judges[1:], exams),
        {name: Price(each.input, each.output) for name, each in config.prices.items()},
        _execution(loaded),
    )


def exams_of(loaded: Loaded, limit: int | None = None) -> tuple[Exam, ...]:
    """What a config asks; raises ConfigError pointing at the line that is wrong."""
    exams = tuple(
        exam
        for index, section in enumerate(loaded.config.tasks)
        for exam in _exams(loaded, index, section, limit)
    )
    _unique_exams(loaded, exams)
    return exams


def _execution(loaded: Loaded) -> Execution:
    section = loaded.config.executor
    if section is None:
        return Execution()
    wanted = section.name == "devices"
    if wanted != bool(section.devices):
        words = "name at least one" if wanted else "only the executor `devices` has them"
        raise loaded.error(("executor", "devices"), words)
    return Execution(section.name, tuple(section.devices), section.variable)


def _check_names(loaded: Loaded) -> None:
    config = loaded.config
    declared = [section.name for section in config.checkpoints]
    _unique(loaded, "checkpoints", declared)
    trained = [section.name for section in config.pipeline]
    _unique(loaded, "pipeline", trained, declared)
    for index, section in enumerate(config.checkpoints):
        others = [name for name in (*declared, *trained) if name != section.name]
        if section.parent and section.parent not in others:
            hint = did_you_mean(section.parent, others)
            where = ("checkpoints", index, "parent")
            raise loaded.error(where, f"no other checkpoint {section.parent!r}{hint}")
    for name in config.data:
        prefix, colon, _ = name.partition(":")
        families = plugins.all_plugins("families")
        if colon and prefix not in families:
            unknown = UnknownName("family of tasks", prefix, families)
            raise loaded.error(("data", name), str(unknown))
        if prefix not in families:
            named(loaded, ("data", name), "tasks", name)


def _unique(loaded: Loaded, key: str, names: list[str], taken: Iterable[str] = ()) -> None:
    seen = set(taken)
    for index, name in enumerate(names):
        if name in seen:
            raise loaded.error((key, index), f"two entries are called {name!r}; rename one")
        seen.add(name)


def _place(loaded: Loaded, exam: Exam) -> Location:
    """Where the file names an exam; a family's tasks share their place."""
    return ("tasks", loaded.config.tasks.index(exam.section))


def _unique_exams(loaded: Loaded, exams: tuple[Exam, ...]) -> None:
    seen: set[str] = set()
    for exam in exams:
        if exam.label in seen:
            message = f"two entries are called {exam.label!r}; rename one"
            last = max(i for i, each in enumerate(loaded.config.tasks) if each == exam.section)
            raise loaded.error(("tasks", last), message)
        seen.add(exam.label)
    for exam in exams:
        whole = exam.task.part_of
        name = whole and exam.label.replace(exam.task.name, whole.name, 1)
        if name in seen:
            message = f"{exam.label} is a part of {name}, and so another task is called: rename one"
            raise loaded.error(_place(loaded, exam), message)


def _exams(loaded: Loaded, index: int, section: TaskSection, limit: int | None) -> tuple[Exam, ...]:
    given = loaded.config.data
    name = section.name if section.name in given else section.name.partition(":")[0]
    data = loaded.resolve(given[name]) if name in given else None
    if data and not data.exists():
        raise loaded.error(("data", name), f"no file or folder at {data}")
    if section.data:
        data = _own_data(loaded, index, section)
    try:
        found = sit(section, data, limit, loaded.path.parent)
        if section.data:
            assert len(found[0].due)  # every row is looked at now: it is the user's to mend
        return found
    except Misfitting as error:
        raise loaded.error(("tasks", index, *error.where), str(error)) from None
    except EvalkitError as error:
        raise loaded.error(("tasks", index), str(error)) from None


def _own_data(loaded: Loaded, index: int, section: TaskSection) -> Path:
    """The file of a benchmark of the user's own, which goes by a name of its own."""
    if section.name in plugins.all_plugins("tasks"):
        message = f"{section.name} is a benchmark that comes with evalkit: rename yours"
        raise loaded.error(("tasks", index, "name"), message)
    if not NAME.fullmatch(section.name):
        message = f"{section.name!r} cannot be a name: letters, digits and ._+@=- only"
        raise loaded.error(("tasks", index, "name"), message)
    return loaded.resolve(section.data)


def _trained(loaded: Loaded, section: StageSection) -> Row:
    backend, options = backend_of(loaded, ("backend",), loaded.config.backend)
    checkpoint = Checkpoint(
        section.name,
        backend=backend.name,
        options=options,
        parent=section.parent,
        method=section.method,
    )
    return Row(checkpoint, backend)


def _judges(loaded: Loaded) -> list[Row]:
    """Everybody who judges; raises ConfigError where two go by one name."""
    section = loaded.config.judge
    if section is None:
        return []
    if not section.panel:
        return [_judge(loaded, ("judge",), section)]
    for key in ("checkpoint", "model", "base_url", "backend", "identity"):
        if getattr(section, key):
            raise loaded.error(("judge", key), "a panel's judges stand under `panel:`; drop one")
    told = [
        each if each.name != "judge" or each.checkpoint else each.model_copy(
            update={"name": f"judge-{number}"}
        )
        for number, each in enumerate(section.panel, 1)
    ]  # fmt: skip
    rows = [_judge(loaded, ("judge", "panel", i), each) for i, each in enumerate(told)]
    seen: set[str] = set()
    for index, row in enumerate(rows):
        if row.checkpoint.name in seen:
            message = f"two judges are called {row.checkpoint.name!r}; rename one"
            raise loaded.error(("judge", "panel", index), message)
        seen.add(row.checkpoint.name)
    return rows


def _judge(loaded: Loaded, where: Location, section: PanelistSection) -> Row:
    if section.checkpoint:
        stages = {stage.name: stage for stage in loaded.config.pipeline}
        if section.checkpoint in stages:
            return _trained(loaded, stages[section.checkpoint])
        for index, declared in enumerate(loaded.config.checkpoints):
            if declared.name == section.checkpoint and declared.retrieval:
                words = f"{declared.name} has `retrieval`, which no judge is shown: name another"
                raise loaded.error((*where, "checkpoint"), words)
            if declared.name == section.checkpoint:
                return declared_row(loaded, index, declared)
        names = [*stages, *(checkpoint.name for checkpoint in loaded.config.checkpoints)]
        hint = did_you_mean(section.checkpoint, names)
        raise loaded.error((*where, "checkpoint"), f"no checkpoint {section.checkpoint!r}{hint}")
    own = section.backend or BackendSection.model_validate(
        {"name": "openai_api", "base_url": section.base_url}
    )
    backend, options = backend_of(loaded, (*where, "backend"), own)
    identity = section.identity or f"{section.base_url} {section.model}".strip()
    return Row(
        Checkpoint(section.name, section.model, backend.name, options, identity=identity), backend
    )


def _jury(loaded: Loaded, others: list[Row], exams: tuple[Exam, ...]) -> Jury:
    section = loaded.config.judge
    if section is None:
        return Jury()
    judged = {name for e in exams if e.task.rubric for name in (e.label, e.task.name)}
    labels = {}
    for task, given in section.labels.items():
        where: Location = ("judge", "labels", task)
        if task not in judged:
            raise loaded.error(where, f"no judged task {task!r}{did_you_mean(task, judged)}")
        labels[task] = loaded.resolve(given)
        if not labels[task].is_file():
            raise loaded.error(where, f"no file at {labels[task]}")
    return Jury(
        tuple(others),
        section.rule,
        section.repeats,
        section.retries,
        section.sampling.model_dump(exclude_none=True),
        section.logprobs,
        labels,
    )
