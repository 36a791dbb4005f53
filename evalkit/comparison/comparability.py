"""Whether two cells sat the same exam, and what else differs between them.

A difference in the exam makes the pair invalid; one in the treatment is what is being compared;
one in the environment is flagged, since engines and number formats move scores a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TREATMENT = ("format", "system_prompt", "quantization")
RETRIEVAL = "retrieval"
MOST = 8  # differences of documents that are listed one by one
FILES = ("chat_template", "tokenizer")
"""Hashes of files: not known of a server, nor in cells of before they were written down."""


@dataclass(frozen=True, slots=True)
class Comparability:
    """What differs between two cells besides the weights."""

    exam: list[str]
    treatment: list[str]
    environment: list[str]

    @property
    def same_exam(self) -> bool:
        """Whether the two may be compared at all."""
        return not self.exam

    @property
    def all(self) -> list[str]:
        """Every difference, the gravest first."""
        return [*self.exam, *self.treatment, *self.environment]


def comparability(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> Comparability:
    """What differs between two cells, told from what their `cell.json` say."""
    before, after = baseline["checkpoint"], candidate["checkpoint"]
    treatment = [
        _difference(name, before.get(name, ""), after.get(name, ""))
        for name in TREATMENT
        if before.get(name, "") != after.get(name, "")
    ]
    treatment += [
        _difference(name, before[name], after[name])
        for name in FILES
        if name in before and name in after and before[name] != after[name]
    ]
    treatment += _documents(before.get("retrieval") or {}, after.get("retrieval") or {})
    return Comparability(
        _differences("", baseline["exam"], candidate["exam"]),
        treatment,
        _differences("", baseline.get("environment", {}), candidate.get("environment", {})),
    )


def _documents(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs in the documents that two checkpoints are shown, and in how."""
    if not before or not after:
        return [_difference(RETRIEVAL, _shown(before), _shown(after))] if before != after else []
    listed = "files" in before and "files" in after
    left_out = "documents" if listed else "files"
    old, new = (
        {name: value for name, value in each.items() if name != left_out}
        for each in (before, after)
    )
    found = _differences(f"{RETRIEVAL} ", old, new)
    more = [f"{RETRIEVAL}: {len(found) - MOST} more differences"] if len(found) > MOST else []
    return [*found[:MOST], *more]


def _shown(retrieval: Mapping[str, Any]) -> str:
    """A retrieval in a few words."""
    if not retrieval:
        return ""
    return f"{retrieval['k']} passages of {str(retrieval['documents'])[:16]}"


def exam_of(meta: Mapping[str, Any], preset: str = "") -> Mapping[str, Any]:
    """What a `cell.json` says of the exam: that of a side, or that of a preset."""
    found = meta.get("exam") or meta.get("exams", {}).get(preset, {})
    return found if isinstance(found, Mapping) else {}


def under(meta: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """What a `cell.json` says under one of its presets, which may have a scale of its own."""
    return {**meta, **meta.get("scales", {}).get(preset, {}), "exam": meta["exams"][preset]}


def _differences(prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    if before == after:
        return []
    found: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(f"{prefix}{name}.", old, new)
        elif old != new:
            found.append(_difference(prefix + name, old, new))
    return found


def _difference(name: str, old: object, new: object) -> str:
    return f"{name.replace('_', ' ')}: {_short(old)} → {_short(new)}"


def _short(value: object) -> str:
    text = "none" if value in (None, "") else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
