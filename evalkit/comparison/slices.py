"""Where a difference comes from: every stratum of a task by itself, explored and not decided.

There are many slices, and nobody fixed beforehand which of them matter: their p-values are
adjusted for the share of false discoveries, and no verdict is drawn from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from evalkit.comparison import paired, unpaired
from evalkit.comparison.comparability import comparability
from evalkit.comparison.scores import strata_of
from evalkit.comparison.sides import Side
from evalkit.errors import StoreError
from evalkit.reporting.reading import printable
from evalkit.stats.cell import Differences, Estimate
from evalkit.stats.estimate import estimates
from evalkit.stats.families import benjamini_hochberg
from evalkit.terminal.columns import columns, percent, points

RATE = 0.10
"""The share of what is marked that may be chance."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Slice(_Model):
    """One stratum of a task."""

    task: str
    name: str
    n: int = Field(description="items that both sides answered")
    baseline_score: float
    candidate_score: float
    delta: float
    ci: tuple[float, float] = Field(description="90 % two-sided, of this slice alone")
    p: float = Field(description="two-sided, of this slice alone")
    q: float = Field(description="Benjamini-Hochberg over all slices shown")
    marked: bool = Field(description="q <= 0.10: a tenth of what is marked may be chance")


class Slices(_Model):
    """What `evalkit slices` has to say."""

    baseline: str
    candidate: str
    exploratory: bool = True
    slices: list[Slice] = Field(description="the largest loss first")
    left_out: list[str] = Field(default=[], description="slices with fewer than two items")
    invalid: dict[str, str] = Field(default={}, description="tasks left out, and why")


@dataclass(frozen=True)
class _Part:
    """One slice, not yet estimated."""

    task: str
    name: str
    change: Differences
    scores: tuple[float, float]


def slices(names: tuple[str, str], tasks: Sequence[tuple[str, Side | None, Side | None]]) -> Slices:
    """Every stratum of every task, the candidate against the baseline (the first name)."""
    parts: list[_Part] = []
    left_out: list[str] = []
    invalid: dict[str, str] = {}
    for task, before, after in tasks:
        try:
            found, small = _of_task(task, before, after)
        except StoreError as error:
            invalid[task] = str(error)
            continue
        parts += found
        left_out += small
    told = estimates([part.change for part in parts])
    p = [min(1.0, 2 * min(each.p_regressed, each.p_improved)) for each in told]
    q = benjamini_hochberg(p).tolist() if p else []
    rows = [_slice(*row) for row in zip(parts, told, p, q, strict=True)]
    rows.sort(key=lambda row: (row.delta, row.task, row.name))
    return Slices(
        baseline=names[0], candidate=names[1], slices=rows, left_out=left_out, invalid=invalid
    )


def _slice(part: _Part, found: Estimate, p: float, q: float) -> Slice:
    return Slice(
        task=part.task,
        name=part.name,
        n=len(part.change.values),
        baseline_score=part.scores[0],
        candidate_score=part.scores[1],
        delta=found.delta,
        ci=(found.lower, found.upper),
        p=p,
        q=q,
        marked=q <= RATE,
    )


def _of_task(task: str, before: Side | None, after: Side | None) -> tuple[list[_Part], list[str]]:
    """The slices of one task, and those too small; raises StoreError where there can be none."""
    if before is None or after is None:
        raise StoreError("one of the two has no scores here")
    if unpaired.bare(before.meta) or unpaired.bare(after.meta):
        raise StoreError("a bare score has no slices")
    differs = comparability(before.meta, after.meta).exam
    if differs:
        raise StoreError(f"two different exams ({'; '.join(differs)}): evaluate both alike")
    pair = paired.pair(before.arm, after.arm)
    if pair.invalid:
        raise StoreError(pair.invalid)
    taking = paired.samples(pair)[2]
    whole = paired.differences(pair)
    names, codes = strata_of(before, pair.baseline.items[taking])
    found: list[_Part] = []
    small: list[str] = []
    for number, name in enumerate(names):
        own = np.flatnonzero(codes == number)
        clusters = None if whole.clusters is None else np.asarray(whole.clusters)[own]
        if len(np.unique(own if clusters is None else clusters)) < 2:
            small.append(f"{task}: {name}")
            continue
        change = Differences(whole.values[own], whole.binary, clusters, whole.lattice)
        old, new = (float(arm.means[taking][own].mean()) for arm in (pair.baseline, pair.candidate))
        found.append(_Part(task, name or "(none)", change, (old, new)))
    return found, small


def text(found: Slices) -> str:
    """The slices for people."""
    head = ["slice", "n", found.baseline, found.candidate, "delta", "90 % interval", "q", ""]
    rows = [
        [
            printable(f"{each.task}: {each.name}"),
            f"{each.n:,}",
            percent(each.baseline_score),
            percent(each.candidate_score),
            points(each.delta),
            f"{points(each.ci[0])} to {points(each.ci[1])}",
            f"{each.q:.3f}",
            "*" if each.marked else "",
        ]
        for each in found.slices
    ]
    lines = [
        columns([printable(each) for each in head], rows) if rows else "  no slices",
        "exploratory: no verdict comes of it.  * q of 0.10 or less (Benjamini-Hochberg): of all "
        "that are marked, a tenth may be chance",
        *(f"too few items: {printable(name)}" for name in found.left_out),
        *(f"left out: {printable(task)}: {printable(why)}" for task, why in found.invalid.items()),
    ]
    return "\n".join(lines) + "\n"
