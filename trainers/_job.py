"""A stage as a job of a framework: its files prepared, its checkpoints collected, its log read.

    <stage's folder>/job/     train.jsonl, the reward, and whatever the framework writes

Each framework is a module with `command`, `files`, `scan` and `log`; what all have in common is
here, as functions that are given them.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit import Saved, Stage, curves
from evalkit.errors import ConfigError, EvalkitError, TrainingError
from evalkit.files import write_beside
from evalkit.types import REWARD_MODEL
from evalkit.weights import parsed

from . import _framework, conversion, data, launch, manifest, rewards
from ._shapes import Row
from .checkpoints import export

FOLDER = "job"
FINAL = "final"
OPTIONS: dict[str, Any] = {
    "python": "python3",
    "cwd": "",
    "gpus": 1,
    "launch": "local",
    "launch_options": [],
}
"""What every launched trainer takes under `trainer:`, besides its name."""

Logged = Iterable[tuple[int, Mapping[str, float]]]
"""(step, what was logged then under TRL's names)."""


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


def folder(stage: Stage) -> Path:
    """Where a stage's job reads and writes."""
    return Path(stage.out) / FOLDER


def python(stage: Stage) -> str:
    """The interpreter of the framework's environment."""
    return str(stage.options.get("python") or OPTIONS["python"])


def gpus(stage: Stage) -> int:
    """How many devices of one machine the job takes."""
    return int(stage.options.get("gpus", OPTIONS["gpus"]))


def check(stage: Stage, rewarded: Sequence[str]) -> None:
    """Raises ConfigError for what is wrong with a launched stage whatever the framework."""
    launch.check(
        stage.options.get("launch", "local"), list(stage.options.get("launch_options", []))
    )
    if not isinstance(stage.options.get("gpus", 1), int) or gpus(stage) < 1:
        raise ConfigError("trainer: gpus: give a whole number above 0")
    cwd = stage.options.get("cwd")
    if cwd and not Path(str(cwd)).is_dir():
        raise ConfigError(f"trainer: cwd: there is no folder {cwd}")
    if not stage.parent:
        raise ConfigError(f"parent: {stage.method} starts from a checkpoint: name one")
    data.check(stage.data, (conversion.shape(stage.method),), stage.paths)
    if stage.method in rewarded:
        rewards.check(stage)
    elif stage.reward:
        raise ConfigError(f"reward: {stage.method} takes none; leave it out")


def found(stage: Stage, distribution: str, package: str) -> _framework.Installed | None:
    """What the stage's interpreter has of a framework.

    Raises ConfigError where the job would run here and has nothing to run; on a cluster, the
    interpreter may be there only.
    """
    has = _framework.installed(python(stage), distribution, package)
    if has and has.version:
        return has
    if stage.options.get("launch", "local") == "local":
        why = "has no" if has else "is not there, nor"
        raise ConfigError(
            f"trainer: python: {python(stage)} {why} {distribution}: give the python of an "
            f"environment in which it is installed"
        )
    return None


def reward_files(stage: Stage, shim: str, name: str) -> dict[str, str]:
    """The reward for a framework: the file that it calls, and what that file draws on."""
    if not stage.reward:
        return {}
    here = Path(__file__).parent
    file, _, function = stage.reward.rpartition(":")
    own = stage.reward.startswith((data.TASK, REWARD_MODEL))
    spec = json.dumps({"name": stage.reward, "paths": dict(stage.paths)})
    ask = [sys.executable, "-m", "evalkit.trainers._reward_child", spec]
    settings = {
        "name": stage.reward,
        "command": ask if own else [],
        "file": "" if own else file,
        "function": "" if own else function,
        "specials": specials(Path(stage.parent)),
    }
    return {
        "reward.json": json.dumps(settings, indent=1),
        "evalkit_reward.py": (here / "_shim_reward.py").read_text(encoding="utf-8"),
        name: (here / shim).read_text(encoding="utf-8"),
    }


def specials(model: Path) -> list[str]:
    """The tokens of a model's tokenizer that decoding leaves out of an answer."""
    added = parsed(model / "tokenizer.json").get("added_tokens")
    tokens = added if isinstance(added, list) else []
    return [str(token["content"]) for token in tokens if token.get("special")]


def run(stage: Stage, framework: Framework) -> None:
    """Runs a stage's job to its end, and registers what it has made.

    What was saved before a job failed is registered too.  Raises TrainingError saying why it
    failed.
    """
    place = folder(stage)
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
    place = folder(stage)
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
    out = Path(stage.out)
    saved = sorted(framework.scan(folder(stage), 0.0), key=lambda each: (each.step, each.final))
    saved = [each for each in saved if not each.by_hand] or saved
    if done and not saved:
        raise TrainingError(f"{framework.name} has saved no whole checkpoint in {folder(stage)}")
    known = {entry["path"] for entry in manifest.read(out)}
    version = framework.version(stage)
    steps = [step for step in curves.read(out).get("loss", [])]
    for each in saved:
        last = done and each is saved[-1]
        name = FINAL if last else f"checkpoint-{each.step}"
        same = each.step == saved[-1].step and saved[-1].final  # the end, saved twice
        if name in known or (not last and (each.final or (done and same))):
            continue
        step = max([each.step, *(int(step) for step, _ in steps)]) if each.final else each.step
        try:
            export(replace(each, base=stage.parent), out / name)
        except EvalkitError:
            if done:
                raise
            continue
        train = each.train or _logged(out, step)
        manifest.register(stage, name, step, (framework.name, version), train)


def _logged(out: Path, step: int) -> dict[str, float]:
    """What was logged last up to a step."""
    values = {}
    for name, curve in curves.read(out).items():
        known = [value for at, value in curve if at <= step]
        if known:
            values[name] = known[-1]
    return values


def with_margin(values: Mapping[str, float]) -> dict[str, float]:
    """What was logged, with how far the chosen answers' rewards are from the rejected ones'."""
    both = values.keys() >= {"rewards/chosen", "rewards/rejected"}
    margin = values["rewards/chosen"] - values["rewards/rejected"] if both else 0.0
    return {**values, **({"rewards/margins": margin} if both else {})}


def lines(path: Path) -> Iterator[str]:
    """The lines of a log; a bar that was drawn over itself is as many lines."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline=None) as file:
            yield from file
    except FileNotFoundError:
        return
