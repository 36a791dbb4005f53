"""Logs of inspect-ai: `.eval` archives and `.json` files.

UK AI Security Institute, Inspect, https://inspect.aisi.org.uk.

A log becomes one cell: its headline is the scorer that the log itself names so, else the first.
Questions are paired by their input and options in any order, and by their id where that is a name;
a number may be a position in a shuffled data set.  Epochs become epochs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import DataError, did_you_mean
from evalkit.identity.identity import digest
from evalkit.interchange._archive import Archive
from evalkit.interchange._documents import as_object, count, need, parse, section, text
from evalkit.interchange._inspect_samples import row
from evalkit.interchange._metrics import scale
from evalkit.interchange.imported import Asked, Imported, Metric, Row, Skipped, Unfit, Wanted

NAME = "inspect"
SAMPLE = re.compile(r"samples/[^/\\]+\.json")
SAMPLING = (
    *("temperature", "top_p", "top_k", "max_tokens", "stop_seqs", "frequency_penalty"),
    *("presence_penalty", "num_choices", "best_of", "reasoning_effort", "reasoning_tokens"),
)


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether a JSON document is a log."""
    return isinstance(document.get("eval"), dict) and "status" in document


def read_archive(path: Path, wanted: Wanted) -> Iterator[Imported | Skipped]:
    """The task of an `.eval` file."""
    with Archive(path) as archive:
        where = f"{path}: header.json"
        header = as_object(parse(archive.read("header.json"), where), where)
        yield _task(path, header, _archived(archive), wanted)


def _archived(archive: Archive) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in archive.names():
        if SAMPLE.fullmatch(name):
            where = f"{archive.path}: {name}"
            yield where, as_object(parse(archive.read(name), where), where)


def read(path: Path, document: Mapping[str, Any], wanted: Wanted) -> Iterator[Imported | Skipped]:
    """The task of a `.json` log."""
    samples = need(document, "samples", list, str(path))
    placed = ((f"{path}: samples[{i}]", sample) for i, sample in enumerate(samples))
    yield _task(path, document, ((w, as_object(s, w)) for w, s in placed), wanted)


def _task(
    path: Path,
    header: Mapping[str, Any],
    samples: Iterable[tuple[str, Mapping[str, Any]]],
    wanted: Wanted,
) -> Imported | Skipped:
    status = text(header, "status")
    if status != "success":
        raise DataError(
            f"{path}: the log's status is {status!r}: finish it by `inspect eval-retry`"
        )
    spec = need(header, "eval", dict, str(path))
    task = need(spec, "task", str, f"{path}: eval").rsplit("/", 1)[-1]
    scorer, _, part = _scorer(path, header, wanted.metric).partition(".")
    rows = [row(sample, scorer, part, where) for where, sample in samples]
    if not rows:
        raise DataError(f"{path}: no samples in it: run inspect with --log-samples")
    _check_complete(path, spec, rows)
    name = f"{scorer}.{part}" if part else scorer
    try:
        metric = Metric(name, scale(name, (row.value for row in rows), wanted))
    except Unfit as error:
        return Skipped(str(path), task, str(error))
    plan = section(header, "plan")
    config = {**section(plan, "config"), **section(spec, "model_generate_config")}
    dataset = section(spec, "dataset")
    return Imported(
        source=str(path),
        format=NAME,
        task=task,
        domain=wanted.domain or task,
        asked=_asked(spec, config, wanted),
        metric=metric,
        exam={
            "version": spec.get("task_version"),
            "sampling": {key: config[key] for key in SAMPLING if config.get(key) is not None},
            "task_args": section(spec, "task_args"),
            "solver": _steps(plan),
            "dataset": text(dataset, "name"),
        },
        environment=_environment(spec),
        dataset={"id": text(dataset, "location")},
        rows=rows,
    )


def _scorer(path: Path, header: Mapping[str, Any], wanted: str) -> str:
    """The headline scorer; `SCORER.KEY` asks for one value of a scorer that gives several."""
    results = need(header, "results", dict, str(path))
    scores = need(results, "scores", list, f"{path}: results")
    names = [text(each, "scorer") for each in scores if isinstance(each, dict)]
    headline = text(section(results, "headline"), "scorer") or next(iter(names), "")
    if wanted and wanted.partition(".")[0] not in names:
        raise DataError(f"{path}: no scorer {wanted!r}{did_you_mean(wanted, names)}")
    if not headline:
        raise DataError(f"{path}: `results.scores` is empty: score the log by `inspect score`")
    return wanted or headline


def _check_complete(path: Path, spec: Mapping[str, Any], rows: list[Row]) -> None:
    epochs = count(section(spec, "config").get("epochs")) or 1
    asked = {row.id for row in rows}
    if len(rows) != len(asked) * epochs:
        due = len(asked) * epochs
        raise DataError(f"{path}: {len(rows)} answers, but {due} were asked: the log is not whole")


def _steps(plan: Mapping[str, Any]) -> str:
    steps = plan.get("steps")
    named = [
        [text(step, "solver"), section(step, "params")]
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict)
    ]
    names = ", ".join(str(name) for name, _ in named)
    return f"{names} {digest(named).hex()[:8]}"


def _asked(spec: Mapping[str, Any], config: Mapping[str, Any], wanted: Wanted) -> Asked:
    model = text(spec, "model") or "unnamed"
    return Asked(
        name=wanted.name or model.replace("/", "__"),
        identity=model,
        format="chat",
        system_prompt=text(config, "system_message"),
    )


def _environment(spec: Mapping[str, Any]) -> dict[str, str]:
    engine = text(spec, "model").partition("/")[0]
    return {"engine": engine, "inspect_ai": text(section(spec, "packages"), "inspect_ai")}
