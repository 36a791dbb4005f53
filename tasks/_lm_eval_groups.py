"""The numbers that lm-eval prints over a group: means of its tasks' own, metric by metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from evalkit.types import Pool

from . import _lm_eval_config as config_of
from ._lm_eval_files import Found, Group

Sizes = Mapping[tuple[str, str], int]
"""Group and filter -> how many of its tasks are graded under that filter."""


def sizes(found: Sequence[Found]) -> Sizes:
    """Of all groups that the tasks of a name are in."""
    graded = {
        (group.name, chosen, each.name)
        for each in found
        for group in each.groups
        for chosen in config_of.filters(each.config)
    }
    return Counter((group, chosen) for group, chosen, _ in graded)


def pools(
    found: Found, chosen: str, sizes: Sizes, called: Callable[[str], str]
) -> tuple[Pool, ...]:
    """What the figures of a task under one filter are part of."""
    return tuple(
        Pool(
            group=called(group.name),
            figure=f"{entry['metric']},{chosen}",
            metric=str(entry["metric"]),
            tasks=sizes[group.name, chosen],
            by_size=bool(entry.get("weight_by_size", True)),
        )
        for group in found.groups
        for entry in _entries(group, chosen)
    )


def _entries(group: Group, chosen: str) -> Iterator[Mapping[str, Any]]:
    """The numbers that are made of answers under this filter; of every one, where none is named."""
    for entry in group.numbers:
        named = entry.get("filter_list")
        if isinstance(entry.get("metric"), str | int) and (
            named is None or chosen in ([named] if isinstance(named, str) else named)
        ):
            yield entry
