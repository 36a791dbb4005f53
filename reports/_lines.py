"""The lines of a table that holds several candidates: one a domain or task, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.verdict import CandidateVerdict, Report

from ._rows import Row, in_reading_order, rows, severity

Group = dict[str, list[Row]]
"""A candidate's rows by domain."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: a domain, or a task, and what each candidate did there."""

    domain: str
    task: str  # "": the domain as a whole
    alone: bool  # the only line of its domain
    found: tuple[Row | None, ...]  # one a candidate; None where it was not compared there


def together(report: Report) -> list[list[CandidateVerdict]]:
    """The candidates in lists of those that are held against the same checkpoint."""
    lists: dict[str, list[CandidateVerdict]] = {}
    for candidate in in_reading_order(report):
        lists.setdefault(candidate.against, []).append(candidate)
    return list(lists.values())


def lines(candidates: Sequence[CandidateVerdict]) -> list[Line]:
    """The lines of candidates side by side: domains worst first, each with its tasks."""
    groups = [_by_domain(candidate) for candidate in candidates]
    domains = dict.fromkeys(domain for group in groups for domain in group)
    laid = [_of_domain(domain, [group.get(domain, []) for group in groups]) for domain in domains]
    return [line for group in sorted(laid, key=_order_of_domain) for line in group]


def _by_domain(candidate: CandidateVerdict) -> Group:
    found: Group = {}
    for row in rows(candidate):
        found.setdefault(row.unit.domain, []).append(row)
    return found


def _of_domain(domain: str, groups: Sequence[list[Row]]) -> list[Line]:
    """The domain's lines; where one candidate needs it apart from its task, all show both."""
    apart = any(row.kind == "domain" for group in groups for row in group)
    tasks = dict.fromkeys(row.cell.task for group in groups for row in group if row.cell)
    cells = [
        Line(domain, task, len(tasks) == 1 and not apart, tuple(_cell(g, task) for g in groups))
        for task in tasks
    ]
    cells.sort(key=_order)
    whole = Line(domain, "", not tasks, tuple(_whole(group) for group in groups))
    return [whole, *cells] if apart or not tasks else cells


def _cell(group: list[Row], task: str) -> Row | None:
    return next((row for row in group if row.cell and row.cell.task == task), None)


def _whole(group: list[Row]) -> Row | None:
    return next((row for row in group if row.kind != "cell"), None)


def _order(line: Line) -> tuple[tuple[bool, int, bool, float], str]:
    return (min(severity(row.unit) for row in line.found if row), line.task)


def _order_of_domain(group: list[Line]) -> tuple[tuple[bool, int, bool, float], str]:
    return (min(_order(line)[0] for line in group), group[0].domain)
