"""lm-eval's task files: found by name, and read without importing anything."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError, UnknownName

from ._lm_eval_index import SUFFIX, index_of

OF_A_GROUP = ("group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag", "include")
"""Keys of a group's file that are not handed on to its tasks."""


@dataclass(frozen=True, slots=True)
class Function:
    """A `!function` of a task file, not imported yet: `utils.process_docs`."""

    spec: str
    folder: Path  # of the file that names it

    @property
    def file(self) -> Path:
        """Where it is written, if that is beside the task file."""
        return self.folder / f"{self.spec.rpartition('.')[0].replace('.', '/')}.py"

    def imported(self) -> Any:
        """What it names, as lm-eval imports it: code of the task's own runs."""
        from lm_eval.tasks._yaml_loader import _import_func_in_yml

        return _import_func_in_yml(self.spec, self.folder)


@dataclass(frozen=True, slots=True)
class Group:
    """A group that a task was found in, and the numbers that its file makes of its tasks."""

    name: str
    numbers: Sequence[Mapping[str, Any]]  # of `aggregate_metric_list`


@dataclass(frozen=True, slots=True)
class Found:
    """One task: its name, what its file says, which file that is, and the groups around it."""

    name: str
    config: Mapping[str, Any]
    file: Path
    groups: tuple[Group, ...] = ()


def read(path: Path, seen: frozenset[Path] = frozenset()) -> dict[str, Any]:
    """A task file with all that it includes; its own keys come before theirs."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Reads a `!function` as what it names."""

    def function(loader: Any, node: Any) -> Function:
        return Function(str(loader.construct_scalar(node)), path.parent)

    Loader.add_constructor("!function", function)
    if path in seen:
        raise ConfigError(f"{path}: includes itself")
    try:
        config = yaml.load(path.read_bytes(), Loader)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: no task file: its top is not a mapping")
    included: dict[str, Any] = {}
    for other in _listed(config.pop("include", None)):
        part = read(Path(os.path.normpath(path.parent / other)), seen | {path})
        part.pop("task_list", None)
        included |= part
    return included | config


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _numbers(group: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The entries of a group's `aggregate_metric_list`, of which one may stand alone."""
    listed = group.get("aggregate_metric_list") or ()
    entries = listed if isinstance(listed, list) else [listed]
    return tuple(each for each in entries if isinstance(each, Mapping))


def find(name: str, folders: Iterable[Path]) -> tuple[Found, ...]:
    """The tasks that a name stands for: a task, or all of a group or a tag.

    Folders are searched in order, so that the first one's task is taken before another's of that
    name.  One that comes twice is what it is said to be last.  Raises UnknownName with the nearest
    names.
    """
    found: dict[str, Found] = {}
    for each in _Search(tuple(folders)).tasks(name, {}, ()):
        before = found[each.name].groups if each.name in found else ()
        others = tuple(group for group in before if group not in each.groups)
        found[each.name] = replace(each, groups=(*each.groups, *others))
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Search:
    folders: tuple[Path, ...]

    def tasks(
        self, name: str, changes: Mapping[str, Any], within: tuple[str, ...]
    ) -> Iterator[Found]:
        """What a name stands for, with what a group around it changes."""
        if name in within:
            raise ConfigError(f"lm-eval:{within[0]}: its group {name} is within itself")
        for folder in self.folders:
            declared = _declared(name, folder)
            if declared is not None:
                file, config = declared
                if config.get("group") == name:
                    yield from self._members(config, changes, (*within, name), file)
                else:
                    yield Found(name, {**config, **changes, "task": name}, file)
                return
            if tagged := _tagged(name, folder):
                for each in sorted(tagged):
                    yield from self.tasks(each, changes, (*within, name))
                return
        raise UnknownName("task of lm-eval", name, self.names())

    def _members(
        self,
        group: Mapping[str, Any],
        changes: Mapping[str, Any],
        within: tuple[str, ...],
        file: Path,
    ) -> Iterator[Found]:
        """The tasks of a group, each with what the group and its entry there say of it."""
        this = Group(within[-1], _numbers(group))
        for each in self._inside(group, changes, within, file):
            yield replace(each, groups=(this, *each.groups))

    def _inside(
        self,
        group: Mapping[str, Any],
        changes: Mapping[str, Any],
        within: tuple[str, ...],
        file: Path,
    ) -> Iterator[Found]:
        members = group.get("task") or []
        own = {key: value for key, value in group.items() if key not in OF_A_GROUP}
        for member in members if isinstance(members, list) else [members]:
            if isinstance(member, str):
                yield from self.tasks(member, {**own, **changes}, within)
                continue
            if not isinstance(member, dict) or not {"task", "group"} & member.keys():
                raise ConfigError(f"{file}: a member of its group is neither a task nor a group")
            said = {key: value for key, value in member.items() if key not in OF_A_GROUP}
            inner = str(member.get("group") or member["task"])
            if self.knows(inner):
                yield from self.tasks(inner, {**own, **changes, **said}, within)
            elif "group" in member:
                called = f"{within[-1]}::{inner}"
                yield from self._members(member, {**own, **changes}, (*within, called), file)
            else:
                config = {**own, **changes, **member}
                yield Found(f"{within[-1]}::{inner}", config, file)

    def knows(self, name: str) -> bool:
        """Whether any file declares a name."""
        return any(_declared(name, folder) or _tagged(name, folder) for folder in self.folders)

    def names(self) -> set[str]:
        """Every name that is declared as one of a task or a group."""
        return {
            found.decode(errors="replace")
            for folder in self.folders
            for found in index_of(folder).declared
        }


def _declared(name: str, folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The first file that declares a task or a group of this name, and what it says."""
    for path in index_of(folder).declared.get(name.encode(), ()):
        config = read(path)
        if name in (config.get("group"), config.get("task")):
            return path, config
    return None


def _tagged(name: str, folder: Path) -> set[str]:
    """The tasks that bear a tag of this name, be it by a file that theirs includes."""
    index = index_of(folder)
    wanted = re.compile(rb"(?<![\w-])" + re.escape(name.encode()) + rb"(?![\w-])")
    bearing = {path for path, tags in index.tags.items() if wanted.search(tags)}
    new = bearing
    while new:
        new = {path for other in new for path in index.including.get(other, ())} - bearing
        bearing |= new
    configs = [read(path) for path in sorted(bearing) if path.suffix == SUFFIX]
    return {
        str(config["task"])
        for config in configs
        if name in _listed(config.get("tag")) and isinstance(config.get("task"), str)
    }
