"""What checkpoints came of, by the manifests that a results folder holds.

A checkpoint goes by the name that reports give it: `sft`, or `sft@200` after 200 steps.  Where
several runs have one name the newest counts, and `sft-ee7fa9f1@200` names the run's folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evalkit.errors import UnknownName
from evalkit.identity.weights import parsed
from evalkit.training import manifest
from evalkit.training.run_folder import DONE, FINAL
from evalkit.verdict import MakingNote

FOLDERS = ("runs", "watched")  # of the results folder: what was trained, and what was watched


@dataclass(frozen=True)
class Known:
    """A checkpoint that a manifest tells of."""

    name: str
    folder: Path  # of its run
    entry: Mapping[str, Any] = field(repr=False)

    @property
    def made(self) -> MakingNote:
        """What it came of."""
        return making(self.entry)

    @property
    def parent(self) -> str:
        """The checkpoint it was trained from, by name; empty where that is not known."""
        told = self.entry.get("parent")
        return str(told.get("name") or "") if isinstance(told, dict) else ""

    @property
    def identity(self) -> str:
        """What it is, by content; empty where that was not worked out."""
        told = self.entry.get("identity") or (
            parsed(self.folder / DONE).get("identity") if self.entry["path"] == FINAL else ""
        )
        return str(told or "")


def making(entry: Mapping[str, Any]) -> MakingNote:
    """An entry of a manifest as what a reader wants to know; what is no such thing is left out."""
    parent, reward = entry.get("parent"), entry.get("reward")
    graded = reward if isinstance(reward, dict) else {}
    told = {
        "framework": f"{entry.get('backend', '')} {entry.get('backend_version', '')}".strip(),
        "parent_identity": parent.get("identity", "") if isinstance(parent, dict) else "",
        "data": entry.get("data", []),
        "reward": graded.get("name", ""),
        "reward_sha256": graded.get("sha256", ""),
        "args": _finite(entry.get("args", {})),
        "seed": entry.get("seed"),
    }
    found: dict[str, Any] = {}
    for name, value in told.items():
        try:
            MakingNote.model_validate({name: value})
        except ValidationError:
            continue  # a manifest is a file of anybody's
        found[name] = value
    return MakingNote.model_validate(found)


def _finite(value: Any) -> Any:
    """The value with numbers that JSON has not as texts."""
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def made_by(folder: Path, step: int | None) -> MakingNote | None:
    """What the checkpoint of a run came of: the one after so many steps, else the last."""
    entries = [
        entry
        for entry in manifest.checkpoints(folder)
        if (entry.get("step") == step if step is not None else entry["path"] == FINAL)
    ]
    return making(entries[-1]) if entries else None


def everything(results: Path) -> list[Known]:
    """Every checkpoint that a manifest below a results folder tells of, oldest first."""
    found = [
        Known(_named(entry), path.parent, entry)
        for part in FOLDERS
        for path in sorted((results / part).glob(f"*/{manifest.NAME}"))
        for entry in manifest.checkpoints(path.parent)
    ]
    return sorted(found, key=lambda known: _time(known.entry))


def _named(entry: Mapping[str, Any]) -> str:
    run = str(entry.get("run", ""))
    return run if entry["path"] == FINAL else f"{run}@{entry.get('step', 0)}"


def _time(entry: Mapping[str, Any]) -> float:
    told = entry.get("time", 0.0)
    return float(told) if isinstance(told, int | float) else 0.0


def find(known: Iterable[Known], name: str) -> Known:
    """The newest checkpoint of that name; raises UnknownName with the nearest ones."""
    names = set()
    found = None
    for each in known:
        _, at, step = each.name.partition("@")
        names |= {each.name, f"{each.folder.name}{at}{step}"}
        if name in (each.name, f"{each.folder.name}{at}{step}"):
            found = each
    if found is None:
        raise UnknownName("trained checkpoint", name, sorted(names))
    return found


def ancestors(known: Iterable[Known], start: Known) -> list[Known]:
    """The checkpoints that one came of, the nearest first, as far back as is known.

    A parent is told by what it is, where that is known, and else by its name.
    """
    every = list(known)
    found: list[Known] = []
    at = _parent(every, start)
    while at is not None and at not in (start, *found):
        found.append(at)
        at = _parent(every, at)
    return found


def _parent(every: Iterable[Known], child: Known) -> Known | None:
    wanted = child.made.parent_identity
    same = [each for each in every if wanted and each.identity == wanted]
    called = [each for each in every if each.name == child.parent and not each.identity]
    return next(reversed([*called, *same]), None)


def facts(known: Known) -> dict[str, str]:
    """Everything that two checkpoints can differ in besides their scores, by name."""
    return dict(_facts(known))


def _facts(known: Known) -> Iterator[tuple[str, str]]:
    made = known.made
    yield "method", str(known.entry.get("method", ""))
    yield "framework", made.framework
    yield "steps", str(known.entry.get("step", ""))
    yield "seed", "" if made.seed is None else str(made.seed)
    yield "parent", known.parent
    yield "parent's identity", made.parent_identity
    yield "reward", made.reward
    yield "reward's content", made.reward_sha256
    for source in made.data:
        yield f"data {source.source}", f"{source.sha256} weight {source.weight:g}".strip()
    for name, value in sorted(made.args.items()):
        yield f"args.{name}", str(value)


def differences(first: Known, second: Known) -> dict[str, tuple[str, str]]:
    """What differs between two checkpoints, besides their scores: name -> (first's, second's)."""
    left, right = facts(first), facts(second)
    return {
        name: (left.get(name, ""), right.get(name, ""))
        for name in [*left, *(name for name in right if name not in left)]
        if left.get(name, "") != right.get(name, "")
    }
