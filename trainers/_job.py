"""A stage as a job of a framework: its files prepared, its checkpoints collected, its log read.

    <stage's folder>/job/     train.jsonl, the reward, and whatever the framework writes

Each framework is a module with `command`, `files`, `scan` and `log`; what all have in common is
here, as functions that are given them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit import Saved, Stage, Trainer
from evalkit.errors import EvalkitError, TrainingError
from evalkit.storage.files import write_beside
from evalkit.training import curves

from . import _launched, conversion, launch, manifest
from ._launched import FINAL
from ._logs import Logged
from ._shapes import Row
from .checkpoints import export


@dataclass(frozen=True)
class Framework:
    """A framework as the functions of its module."""

    name: str
    data: str  # the file that its rows are written to
    convert: conversion.Converter
    write: Callable[[Iterable[Row], Path], None]
    command: Callable[[Stage, bool], list[str]]  # of a stage whose rows are conversations, or not
    files: Callable[[Stage], Mapping[str, str]]  # what else it reads: name -> content
    version: Callable[[Stage], str]
    scan: Callable[[Path, float], Sequence[Saved]]
    log: Callable[[Path, Path], Logged]  # (the job's folder, the stage's log)
    environment: Callable[[Stage], Mapping[str, str]] = lambda _: {}
    resumes: Callable[[Stage], bool] = lambda _: True  # goes on where an earlier job has died


def run(stage: Stage, framework: Framework) -> None:
    """Runs a stage's job to its end, and registers what it has made.

    What was saved before a job failed is registered too.  Raises TrainingError saying why it
    failed.
    """
    place = _launched.folder(stage)
    if not framework.resumes(stage):
        shutil.rmtree(place, ignore_errors=True)
    chat = prepare(stage, framework)
    job = launch.Job(
        framework.command(stage, chat),
        str(stage.options.get("cwd", "")),
        framework.environment(stage),
        str(stage.options.get("launch", "local")),
        tuple(stage.options.get("launch_options", ())),
    )
    log = Path(stage.out) / "train.log"
    code = launch.run(job, place, log)
    read_log(stage, framework.log(place, log))
    collect(stage, framework, done=code == 0)
    if code:
        raise TrainingError(_why(place, framework.name, code))


def prepare(stage: Stage, framework: Framework) -> bool:
    """Writes what the job reads; returns whether its rows are conversations."""
    place = _launched.folder(stage)
    place.mkdir(parents=True, exist_ok=True)
    (place / "reward.error").unlink(missing_ok=True)
    survey = conversion.survey(stage)
    rows = framework.convert(conversion.drawn(stage, survey), stage.method, survey.chat)
    beside = place / f"part.{framework.data}"
    try:
        framework.write(rows, beside)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise TrainingError(f"cannot write {beside}: {error.strerror}; make room") from None
    beside.replace(place / framework.data)
    for name, content in framework.files(stage).items():
        write_beside(place / name, content.encode())
    return survey.chat


def _why(place: Path, name: str, code: int) -> str:
    told = place / "reward.error"
    if told.exists():
        return told.read_text(encoding="utf-8", errors="replace")[:1000]
    how = f"was ended by signal {code - 128}" if code > 128 else f"ended with exit code {code}"
    return f"the job of {name} {how}"


def read_log(stage: Stage, logged: Logged) -> None:
    """Puts what a framework logged into the stage's table of metrics, anew."""
    (Path(stage.out) / curves.NAME).unlink(missing_ok=True)
    for step, values in logged:
        curves.append(stage.out, step, values)


def collect(stage: Stage, framework: Framework, *, done: bool) -> None:
    """Exports and registers every whole checkpoint once; of a job that is done, the last as final.

    Raises TrainingError where a job that is done has left none.
    """
    out, place = Path(stage.out), _launched.folder(stage)
    saved = sorted(framework.scan(place, 0.0), key=lambda each: (each.step, each.final))
    saved = [each for each in saved if not each.by_hand] or saved
    if done and not saved:
        raise TrainingError(f"{framework.name} has saved no whole checkpoint in {place}")
    known = {entry["path"] for entry in manifest.read(out)}
    version = framework.version(stage)
    for name, each in _named(saved, done=done).items():
        if name in known:
            continue
        try:
            export(replace(each, base=stage.parent), out / name)
        except EvalkitError:
            if done:
                raise
            continue
        step = max(each.step, _last_step(out)) if each.final else each.step
        train = each.train or _logged(out, step)
        manifest.register(stage, name, step, (framework.name, version), train)


def _named(saved: Sequence[Saved], *, done: bool) -> dict[str, Saved]:
    """What each is called; the end of a job that is done, saved twice, counts once."""
    last = saved[-1] if done else None
    named = {
        f"checkpoint-{each.step}": each
        for each in saved
        if not each.final and each is not last
        and not (last and last.final and each.step == last.step)
    }  # fmt: skip
    return {**named, **({FINAL: last} if last else {})}


def _last_step(out: Path) -> int:
    """The last step that was logged."""
    return max((int(step) for step, _ in curves.read(out).get("loss", [])), default=0)


def _logged(out: Path, step: int) -> dict[str, float]:
    """What was logged last up to a step."""
    values = {}
    for name, curve in curves.read(out).items():
        known = [value for at, value in curve if at <= step]
        if known:
            values[name] = known[-1]
    return values


def trainer(
    framework: Framework,
    methods: Iterable[str],
    check: Callable[[Stage], None],
    logged: Callable[[Path], Logged],
    **given: Any,
) -> Trainer:
    """The plugin that a framework is; `logged` reads the log in a run's folder."""
    return Trainer(
        framework.name,
        methods=tuple(methods),
        run=lambda stage: run(stage, framework),
        check=check,
        resumes=True,
        launched=True,
        environment=lambda stage: {framework.name: framework.version(stage)},
        scan=framework.scan,
        export=export,
        logged=logged,
        **{"options": _launched.OPTIONS, **given},
    )
