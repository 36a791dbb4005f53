"""Names to objects: what `tasks/`, `trainers/`, `reports/`, `backends/` and others declare.

A plugin is a value in a module-level tuple, `TASKS`, `TRAINERS`, `RENDERERS` or `BACKENDS`; a
module of tasks may declare `FAMILIES` too, whose tasks are made when they are named.  The
modules looked into are those of the built-in package, then those that other distributions name
by an entry point of the group `evalkit.tasks` (`.trainers`, `.reports`, `.backends`).
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

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
    "trainers": "TRAINERS",
    "reports": "RENDERERS",
    "backends": "BACKENDS",
}


def modules(kind: str) -> Iterator[ModuleType]:
    """The modules that may declare plugins of a kind: built in first, then entry points."""
    try:
        package = importlib.import_module(f"evalkit.{kind}")
    except ModuleNotFoundError as error:
        if error.name != f"evalkit.{kind}":
            raise
        raise EvalkitError(
            "evalkit is not installed, only checked out: run `make setup` or `pip install -e .`"
        ) from None
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package.__name__}.{info.name}")
    for point in sorted(entry_points(group=f"evalkit.{kind}"), key=lambda point: point.value):
        try:
            yield cast(ModuleType, point.load())
        except (ImportError, AttributeError) as error:
            raise EvalkitError(
                f"the plugin {point.value} cannot be imported ({error}): mend or uninstall it"
            ) from None


@cache
def all_plugins(kind: str) -> dict[str, Any]:
    """Every plugin of a kind by name, in the order of names."""
    found: dict[str, Any] = {}
    for module in modules("tasks" if kind == "families" else kind):
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
    plugins = all_plugins(kind)
    if name not in plugins:
        raise UnknownName(kind.removesuffix("s"), name, plugins)
    return plugins[name]


def tasks(name: str, preset: str = "", data: Path | None = None) -> tuple[Task, ...]:
    """What a name stands for: a task, under one of its presets, or several of a family.

    `data` is what the config names for its rows, by which a family may tell what it has.
    """
    prefix, colon, rest = name.partition(":")
    families = all_plugins("families")
    if not colon:
        return (_under(cast(Task, find("tasks", name)), preset),)
    if prefix not in families:
        raise UnknownName("family of tasks", prefix, families)
    family = cast(Family, families[prefix])
    opened = family.open_at(rest, data) if family.open_at and data else family.open(rest)
    found = (_under(each, preset) for each in opened)
    return tuple({(each.name, each.preset): each for each in found}.values())


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
    package = plugin_module.rpartition(".")[0] or plugin_module
    seen: set[str] = set()
    queue = [plugin_module]
    while queue:
        name = queue.pop()
        if name in seen or not f"{name}.".startswith(f"{package}.") or name not in sys.modules:
            continue
        seen.add(name)
        for value in vars(sys.modules[name]).values():
            queue.append(str(getattr(value, "__module__", "") or getattr(value, "__name__", "")))
    return sorted(path for name in seen if (path := getattr(sys.modules[name], "__file__", None)))
