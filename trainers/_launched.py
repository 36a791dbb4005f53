"""What the keys of a launched stage mean whatever the framework, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from evalkit import Stage
from evalkit.errors import ConfigError

from . import _framework, _options, conversion, data, launch, rewards

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


def version(stage: Stage, name: str) -> str:
    """The version that the stage's interpreter has; empty where that cannot be told here."""
    has = found(stage, name, name)
    return has.version if has else ""


def check_args(
    stage: Stage, name: str, file: str, read: Callable[[Path], frozenset[str]], speaks: str
) -> None:
    """Raises ConfigError for an argument that a framework's own file of options does not have.

    Where the framework is not here but on a cluster, nothing can be told.
    """
    has = found(stage, name, name)
    if not has or not has.folder:
        return
    path = has.folder / file
    if not path.exists():
        raise ConfigError(f"trainer: {name} {has.version} has no {path.name}: use {speaks}")
    _options.check(stage.args, read(path), f"{path.name} of {name} {has.version}")
