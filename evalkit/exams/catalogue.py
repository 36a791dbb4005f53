"""The tasks there are and what each would take and show, told in a moment: nothing is read.

Tokens are what earlier answers took, where the results folder holds any of the task.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit import plugins
from evalkit.exams.availability import at_hand
from evalkit.planning.planned import planned
from evalkit.stats.power import mde
from evalkit.terminal.columns import columns
from evalkit.types import Task, Whole

HEAD = ("items", "k", "tokens", "MDE80", "licence", "at hand")
LEGEND = """\
k: answers asked per item.  tokens: of all items, as earlier answers took them; ≤: of answers, at
most.  MDE80: points, as planned: the smallest decline that one test finds 80 % of times"""


@dataclass(frozen=True, slots=True)
class Listed:
    """One task, or a family of tasks."""

    name: str
    domain: str
    items: int | None  # None: not known without its data
    epochs: int
    tokens: int | None  # of prompts and answers; None: no run has told
    most_tokens: int | None  # of answers
    mde80: float | None  # as a fraction
    licence: str
    at_hand: bool  # whether its questions can be had without a download
    presets: tuple[str, ...] = ()
    about: str = ""  # of a family, and of what several tasks are judged as
    parts: tuple[str, ...] = ()  # those tasks


def catalogue(results: Path) -> list[Listed]:
    """Every task by name, then what several are judged as, then every family."""
    rates = _rates(results)
    tasks: Mapping[str, Task] = plugins.all_plugins("tasks")
    families = plugins.all_plugins("families").values()
    wholes = dict.fromkeys(task.part_of for task in tasks.values())
    return [
        *(_listed(task, rates.get(name)) for name, task in tasks.items()),
        *(_joint(whole, tasks) for whole in wholes if whole),
        *(
            Listed(f"{each.name}:…", "", None, 1, None, None, None, "", False, (), each.about)
            for each in families
        ),
    ]


def _listed(task: Task, rate: float | None) -> Listed:
    asked = task.items * task.epochs if task.items else None
    return Listed(
        task.name,
        task.domain,
        task.items,
        task.epochs,
        round(rate * asked) if rate is not None and asked else None,
        task.sampling.max_tokens * asked if asked else None,
        mde(planned(task)[0], task.items) if task.items else None,
        task.source.licence if task.source else "generated",
        at_hand(task),
        tuple(task.presets),
    )


def _joint(whole: Whole, tasks: Mapping[str, Task]) -> Listed:
    """What several tasks are judged as; with their figures as far as all of them have any."""
    parts = [tasks[name] for name in whole.parts if name in tasks]
    first, counts = parts[0], [task.items for task in parts]
    items = sum(filter(None, counts)) if len(parts) == len(whole.parts) and all(counts) else None
    shown = mde(planned(replace(first, name=whole.name))[0], items) if items else None
    told = "" if shown is None else f", {items:,} items, MDE80 {100 * shown:.1f}"
    names = " and ".join(whole.parts)
    return Listed(
        whole.name,
        first.domain,
        items,
        first.epochs,
        None,
        None,
        shown,
        first.source.licence if first.source else "generated",
        all(map(at_hand, parts)),
        (),
        f"{names}, judged as one{told}; each alone is displayed only",
        whole.parts,
    )


def _rates(results: Path) -> dict[str, float]:
    """Tokens of one answer and its prompt, by task, over all cells of a results folder."""
    tokens: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for meta in _cells(results):
        with suppress(KeyError, TypeError):
            totals = meta["totals"]
            tokens[meta["task"]] += totals["prompt_tokens"] + totals["completion_tokens"]
            answers[meta["task"]] += totals["answers"]
    return {task: tokens[task] / count for task, count in answers.items() if count and tokens[task]}


def _cells(results: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(results.glob("*/*/cell.json")):
        with suppress(OSError, ValueError):
            found = json.loads(path.read_bytes())
            if isinstance(found, dict):
                yield found


def text(found: list[Listed]) -> str:
    """The tasks for people, a line each, with their presets below."""
    tasks = [each for each in found if not each.about]
    names, domains = (max(map(len, each)) for each in zip(*map(_who, tasks), strict=True))
    head = (f"{'task':<{names}}  {'domain':<{domains}}", *HEAD)
    rows = [(f"{each.name:<{names}}  {each.domain:<{domains}}", *_figures(each)) for each in tasks]
    presets = [f"{each.name}@{{{', '.join(each.presets)}}}" for each in tasks if each.presets]
    families = [f"{each.name}  {each.about}" for each in found if each.about]
    table = [line.removeprefix("  ") for line in columns(head, rows).splitlines()]
    return "\n".join([*table, *families, "", *presets, "", LEGEND]) + "\n"


def _who(each: Listed) -> tuple[str, str]:
    return each.name, each.domain


def _figures(each: Listed) -> tuple[str, ...]:
    most = "" if each.most_tokens is None else f"≤ {_short(each.most_tokens)}"
    return (
        "" if each.items is None else f"{each.items:,}",
        str(each.epochs),
        most if each.tokens is None else _short(each.tokens),
        "" if each.mde80 is None else f"{100 * each.mde80:.1f}",
        each.licence,
        "yes" if each.at_hand else "no",
    )


def _short(count: int) -> str:
    """1,234 or 12k or 3.4M, to two digits or three."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1e3:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
