"""A config's stages: every name in them turned into the thing it names, and checked."""

from __future__ import annotations

from pathlib import Path

from evalkit import plugins
from evalkit.configuration.config import Loaded, Location
from evalkit.configuration.naming import named, options_of
from evalkit.configuration.sections import StageSection
from evalkit.errors import ConfigError, EvalkitError, did_you_mean
from evalkit.types import REWARD_MODEL, Stage, Task, Trainer

TASK = "task:"


def scores_only(section: StageSection) -> bool:
    """Whether a stage makes a reward model, which is not asked: it gives no answers."""
    chosen = section.trainer.name if section.trainer else ""
    return section.method in plugins.trainer(section.method, chosen).scorers


def stages(loaded: Loaded) -> tuple[Stage, ...]:
    """The stages of a config; raises ConfigError pointing at the line that is wrong."""
    return tuple(_stage(loaded, index) for index in range(len(loaded.config.pipeline)))


def _stage(loaded: Loaded, index: int) -> Stage:
    section, where = loaded.config.pipeline[index], ("pipeline", index)
    _check_parent(loaded, index)
    trainer, options = _trainer(loaded, where, section)
    for key in ("lora", "accelerate"):
        if getattr(section, key) and key not in trainer.takes:
            raise loaded.error((*where, key), f"{trainer.name} takes none: leave it out")
    key = "data"
    try:
        data = {_source(loaded, name): weight for name, weight in section.data.items()}
        key = "reward"
        reward = _reward(loaded, index)
    except EvalkitError as error:
        raise loaded.error((*where, key), str(error)) from None
    names = {name.removeprefix(TASK) for name in (*data, reward) if name.startswith(TASK)}
    given = {name: loaded.config.data[name] for name in names if name in loaded.config.data}
    stage = Stage(
        section.name,
        section.method,
        "",
        section.parent,
        data,
        reward,
        section.args,
        loaded.config.seed if section.seed is None else section.seed,
        trainer.name,
        options,
        lora=section.lora,
        accelerate=str(loaded.resolve(section.accelerate)) if section.accelerate else "",
        evaluate=section.evaluate,
        paths={name: str(loaded.resolve(path)) for name, path in given.items()},
    )
    _check(loaded, where, stage, trainer)
    return stage


def _check_parent(loaded: Loaded, index: int) -> None:
    section, where = loaded.config.pipeline[index], ("pipeline", index, "parent")
    earlier = {stage.name: stage for stage in loaded.config.pipeline[:index]}
    declared = {checkpoint.name: checkpoint for checkpoint in loaded.config.checkpoints}
    name = section.parent
    if name and name not in (*earlier, *declared):
        known = did_you_mean(name, (*earlier, *declared))
        raise loaded.error(where, f"no earlier checkpoint {name!r}{known}")
    if name in earlier and scores_only(earlier[name]):
        raise loaded.error(where, f"{name} is a reward model: it answers nothing")
    if name in declared and not declared[name].model:
        raise loaded.error(where, f"{name} has no `model`: there are no weights to start from")


def _trainer(
    loaded: Loaded, where: Location, section: StageSection
) -> tuple[Trainer, dict[str, object]]:
    """Who trains a stage, and with which options; a path among them starts from the file."""
    chosen = section.trainer
    if chosen:
        named(loaded, (*where, "trainer", "name"), "trainers", chosen.name)
    try:
        trainer = plugins.trainer(section.method, chosen.name if chosen else "")
    except EvalkitError as error:
        raise loaded.error((*where, "method"), str(error)) from None
    options = options_of(loaded, (*where, "trainer"), trainer, chosen.options if chosen else {})
    return trainer, {
        key: str(loaded.path.parent.joinpath(Path(value).expanduser()))
        if isinstance(value, str) and value.startswith((".", "~"))
        else value
        for key, value in options.items()
    }


def _check(loaded: Loaded, where: Location, stage: Stage, trainer: Trainer) -> None:
    """What a trainer can tell to be wrong before any time is spent."""
    try:
        trainer.check(stage)
    except EvalkitError as error:
        key, colon, message = str(error).partition(": ")
        if colon and key in StageSection.model_fields:
            raise loaded.error((*where, key), message) from None
        raise loaded.error(where, str(error)) from None


def _source(loaded: Loaded, name: str) -> str:
    if name.startswith(TASK):
        located, task = _task(loaded, name)
        if task.train is None:
            raise ConfigError(f"{task.name} has no training split; give a JSONL file instead")
        return located
    path = loaded.resolve(name)
    if not path.is_file():
        raise ConfigError(f"no data file at {path}")
    return str(path)


def _task(loaded: Loaded, name: str) -> tuple[str, Task]:
    """The task that `task:<name>` names, and its name with its path, where it goes by one."""
    located = plugins.located(name.removeprefix(TASK), loaded.path.parent)
    return f"{TASK}{located}", plugins.task(located)


def _reward(loaded: Loaded, index: int) -> str:
    """The reward by its kind: a task's scorer, a function in a file, or a reward model."""
    name = loaded.config.pipeline[index].reward
    earlier = {stage.name: stage for stage in loaded.config.pipeline[:index]}
    if name.startswith(TASK):
        return _task(loaded, name)[0]
    if name in earlier:
        if not scores_only(earlier[name]):
            raise ConfigError(f"{name} is no reward model: it answers, it does not score")
        return f"{REWARD_MODEL}{name}"
    stem, colon, function = name.partition(".py:")
    if not name or (colon and function.isidentifier()):
        return f"{_file(loaded, f'{stem}.py')}:{function}" if name else ""
    folder = loaded.resolve(name)
    if (folder / "config.json").is_file():
        return f"{REWARD_MODEL}{folder}"
    scorers = [stage.name for stage in earlier.values() if scores_only(stage)]
    raise ConfigError(
        f"{name!r} is not a reward: give task:<name>, file.py:function, an earlier stage that "
        f"trains a reward model, or the folder of one{did_you_mean(name, scorers)}"
    )


def _file(loaded: Loaded, name: str) -> Path:
    path = loaded.resolve(name)
    if not path.is_file():
        raise ConfigError(f"no file at {path}")
    return path
