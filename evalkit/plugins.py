"""Names to objects: what `tasks/`, `trainers/`, `reports/`, `backends/` and others declare.

A plugin is a value in a module-level tuple, `TASKS`, `TRAINERS`, `RENDERERS` or `BACKENDS`; a
module of tasks may declare `FAMILIES` too, whose tasks are made when they are named, and
`SCORERS`, by which benchmarks of a user's own are graded.  The modules looked into are those of
the built-in package, then those that other distributions name by an entry point of the group
`evalkit.tasks` (`.trainers`, `.reports`, `.backends`); a task may be named by its file, too.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from evalkit import by_path
from evalkit.errors import ConfigError, EvalkitError, UnknownName
from evalkit.types import Backend, Family, Task, Trainer


class Plugin(Protocol):
    """Anything that goes by a name."""

    @property
    def name(self) -> str:
        """The name it goes by in a user's file."""
        ...


CONSTANTS = {
    "tasks": "TASKS",
    "families": "FAMILIES",
    "scorers": "SCORERS",
    "trainers": "TRAINERS",
    "reports": "RENDERERS",
    "backends": "BACKENDS",
}
BESIDE_TASKS = ("families", "scorers")
"""Kinds of plugins that modules of tasks declare."""


def modules(kind: str) -> Iterator[ModuleType]:
    """The modules that may declare plugins of a kind: built in first, then entry points."""
    package = _built_in(kind)
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package.__name__}.{info.name}")
    for point in _points()[f"evalkit.{kind}"]:
        try:
            yield cast(ModuleType, point.load())
        except (ImportError, AttributeError) as error:
            raise EvalkitError(
                f"the plugin {point.value} cannot be imported ({error}): mend or uninstall it"
            ) from None


def _built_in(kind: str) -> ModuleType:
    """The package of a kind that comes with evalkit."""
    try:
        return importlib.import_module(f"evalkit.{kind}")
    except ModuleNotFoundError as error:
        if error.name != f"evalkit.{kind}":
            raise
        raise EvalkitError(
            "evalkit is not installed, only checked out: run `make setup` or `pip install -e .`"
        ) from None


@cache
def _points() -> dict[str, list[EntryPoint]]:
    """Those of all distributions by group; each has a file to be read, so they are read once."""
    everywhere, found = entry_points(), {}
    for kind in CONSTANTS:
        group = f"evalkit.{kind}"
        found[group] = sorted(everywhere.select(group=group), key=lambda point: point.value)
    return found


def forget() -> None:
    """Has plugins looked for again, after a distribution was installed or removed."""
    _points.cache_clear()
    all_plugins.cache_clear()


@cache
def all_plugins(kind: str) -> dict[str, Any]:
    """Every plugin of a kind by name, in the order of names."""
    found: dict[str, Any] = {}
    for module in modules("tasks" if kind in BESIDE_TASKS else kind):
        for plugin in cast("tuple[Plugin, ...]", getattr(module, CONSTANTS[kind], ())):
            if plugin.name in found:
                raise ConfigError(f"two {kind} go by the name {plugin.name!r}: rename one")
            found[plugin.name] = plugin
    return dict(sorted(found.items()))


def report_format(name: str) -> Any:
    """A renderer by name; raises ConfigError where a package that it draws with is not there."""
    found = find("reports", name)
    for package in found.packages:
        if find_spec(package) is None:
            raise ConfigError(
                f"{name} needs the package {package}: pip install 'posttrain-evalkit[report]'"
            )
    return found


def find(kind: str, name: str) -> Any:
    """The plugin of that name; raises UnknownName with the nearest ones."""
    found = _in_own_module(kind, name)
    if found is not None:
        return found
    plugins = all_plugins(kind)
    if name not in plugins:
        raise UnknownName(kind.removesuffix("s"), name, plugins)
    return plugins[name]


def _in_own_module(kind: str, name: str) -> Any:
    """The built-in plugin whose module goes by its name, without importing the others.

    None where there is no such, or where other distributions may have one of that name, too.
    """
    short = name.replace("-", "_")
    module = f"{_built_in(kind).__name__}.{short}"
    if not short.isidentifier() or short.startswith("_") or _points()[f"evalkit.{kind}"]:
        return None
    if not find_spec(module):
        return None
    declared = getattr(importlib.import_module(module), CONSTANTS[kind], ())
    return next((plugin for plugin in declared if plugin.name == name), None)


def located(name: str, home: Path) -> str:
    """The name of a task, one by path with its path from `home` on."""
    path, wanted = by_path.parted(name)
    if not path:
        return name
    whole = (home / Path(path).expanduser()).resolve()
    return f"{whole}:{wanted}" if wanted else str(whole)


def tasks(name: str, preset: str = "", data: Path | None = None) -> tuple[Task, ...]:
    """What a name stands for: a task, under one of its presets, or several of a family or file.

    `data` is what the config names for its rows, by which a family may tell what it has.
    """
    path, wanted = by_path.parted(name)
    if path:
        return tuple(_under(found, preset) for found in _in_file(Path(path), wanted))
    prefix, colon, rest = name.partition(":")
    if not colon:
        return (_under(cast(Task, find("tasks", name)), preset),)
    families = all_plugins("families")
    if prefix not in families:
        raise UnknownName("family of tasks", prefix, families)
    family = cast(Family, families[prefix])
    opened = family.open_at(rest, data) if family.open_at and data else family.open(rest)
    found = (_under(each, preset) for each in opened)
    return tuple({(each.name, each.preset): each for each in found}.values())


def _in_file(path: Path, wanted: str) -> tuple[Task, ...]:
    """The tasks that a user's file declares, or the one of that name."""
    found: tuple[Task, ...] = getattr(by_path.module(path), CONSTANTS["tasks"], ())
    if not found:
        raise ConfigError(f"{path}: declares no TASKS = (Task(...),)")
    taken = [each.name for each in found if each.name in all_plugins("tasks")]
    if taken:
        raise ConfigError(
            f"{path}: {taken[0]} is a benchmark that comes with evalkit: rename yours"
        )
    known = {each.name: each for each in found}
    if wanted and wanted not in known:
        raise UnknownName(f"task of {path.name}", wanted, known)
    return (known[wanted],) if wanted else found


def task(name: str, preset: str = "") -> Task:
    """The one task that a name stands for, under one of its presets."""
    found = tasks(name, preset)
    if len(found) != 1:
        names = ", ".join(each.name for each in found)
        raise ConfigError(f"{name} stands for {len(found)} tasks ({names}): name one")
    return found[0]


def _under(found: Task, preset: str) -> Task:
    name = found.name
    if not preset:
        return found
    if not found.presets:
        raise ConfigError(f"{name} has no presets; leave out {preset!r}")
    if preset not in found.presets:
        raise UnknownName(f"preset of {name}", preset, found.presets)
    return replace(found, preset=preset, **found.presets[preset])


def backend(name: str) -> Backend:
    """A backend by name."""
    return cast(Backend, find("backends", name))


def trainer(method: str, name: str = "") -> Trainer:
    """The trainer of that name, which must have the method; without a name, one in this process.

    Raises UnknownName, and ConfigError naming those that have the method where it has not.
    """
    every: list[Trainer] = list(all_plugins("trainers").values())
    having = {each.name: each for each in every if method in each.methods}
    if name:
        found = cast(Trainer, find("trainers", name))
        if method not in found.methods and having:
            raise ConfigError(f"{name} has no method {method!r}; those that have: {_all(having)}")
        if method not in found.methods:
            raise UnknownName(f"method of {name}", method, found.methods)
        return found
    own = [each for each in having.values() if not each.launched]
    if having and not own:
        raise ConfigError(f"{method} is trained by {_all(having)}: name one under `trainer:`")
    if not own:
        raise UnknownName("training method", method, {m for each in every for m in each.methods})
    return own[0]


def _all(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def source_files(plugin_module: str) -> list[str]:
    """The files a plugin's behaviour is written in: its module and the siblings it draws on."""
    seen: set[str] = set()
    queue = [plugin_module]
    while queue:
        name = queue.pop()
        if name in seen or name not in sys.modules or not _siblings(plugin_module, name):
            continue
        seen.add(name)
        for value in vars(sys.modules[name]).values():
            queue.append(str(getattr(value, "__module__", "") or getattr(value, "__name__", "")))
    return sorted(path for name in seen if (path := getattr(sys.modules[name], "__file__", None)))


def _siblings(module: str, other: str) -> bool:
    """Whether they are of one package, or of no package and one folder."""
    package = module.rpartition(".")[0]
    if package:
        return f"{other}.".startswith(f"{package}.")
    folders = {
        str(Path(getattr(sys.modules[name], "__file__", None) or name).parent)
        for name in (module, other)
    }
    return other == module or (len(folders) == 1 and "." not in other)
