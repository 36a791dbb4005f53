"""Numbers over groups of tasks, as their authors print them: no interval, and no verdict."""

from __future__ import annotations

from evalkit.verdict import GroupScore, Report

from ._text import clean, plural


def groups(report: Report) -> list[str]:
    """A line for each number of each group, with every checkpoint that has it."""
    numbers: dict[tuple[str, str], list[GroupScore]] = {}
    for each in report.groups:
        numbers.setdefault((each.group, each.figure), []).append(each)
    return [
        f"{clean(group, 80)} {clean(figure, 60)}{_made_of(found)}: "
        + ", ".join(f"{clean(each.checkpoint, 60)} {each.value:.4f}" for each in found)
        for (group, figure), found in numbers.items()
    ]


def _made_of(found: list[GroupScore]) -> str:
    """How many tasks and items, where that is the same for all."""
    first = found[0]
    if any((each.tasks, each.n) != (first.tasks, first.n) for each in found):
        return ""
    weighed = "by their sizes" if first.by_size else "all alike"
    return f" ({plural(first.tasks, 'task')}, {weighed}; {plural(first.n, 'item')})"
