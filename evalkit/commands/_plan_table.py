"""A plan as text for a terminal: tables, then what must be known before the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from evalkit.planning.plan import Plan, TaskPlan, UnitPlan
from evalkit.reporting.reading import printable
from evalkit.terminal.console import text

WIDTH = 100
UNITS = ("", "n", "SE", "finds", "in family", "margin", "P(pass)", "n for 80, 97 %", "suggested")
LEGEND = """\
SE, finds, in family, margin, suggested: in points.  finds: the smallest decline that one test
finds 80 % of times; in family: that is called regressed among all that is tested.  P(pass): of an
unchanged model; n for: items (or answers per item, ×k) with which it passes the margin so often;
suggested: the margin that it passes 97 % of times.  * gates"""


def table(plan: Plan) -> str:
    """The plan, 100 columns wide."""
    return text(lambda _: _parts(plan), WIDTH)


def _parts(plan: Plan) -> Iterator[RenderableType]:
    yield Text(f"{plan.checkpoints} checkpoints, baseline {printable(plan.baseline)}")
    yield from ("", _grid(UNITS, [row for name in plan.domains for row in _rows(plan, name)]))
    off = [task for task in plan.tasks if task.role == "off" and not task.shown]
    if off:
        yield Text(f"displayed only: {', '.join(task.name for task in off)}")
    parts = [task for task in plan.tasks if task.shown]
    yield from (Text(f"{printable(each.name)}: {printable(each.shown)}") for each in parts)
    yield from ("", Text(LEGEND))
    yield from ("", Text("Where the spread of an item's difference is from"))
    yield from (Text(f"  {task.name}: {_spread(task)}") for task in plan.tasks)
    yield from ("", Text("What is left to do"))
    yield _left(plan)
    yield ""
    yield from map(Text, _conclusions(plan))


def _grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Numbers are never cut short, names are where the width does not do for both."""
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for heading, *cells in zip(headings, *rows, strict=True):
        if heading in ("", "task"):
            grid.add_column(heading, no_wrap=False)
        else:
            widest = max(len(each) for each in (heading, *cells))
            grid.add_column(heading, justify="right", no_wrap=True, min_width=widest)
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


def _rows(plan: Plan, domain: UnitPlan) -> Iterator[list[str]]:
    tasks = [task for task in plan.tasks if task.domain == domain.name and task.role != "off"]
    if len(tasks) > 1 or not tasks:
        yield _row(domain, domain.name)
        yield from (_row(task, f"  {task.name}") for task in tasks)
    else:
        yield _row(tasks[0], domain.name, domain)


def _row(unit: UnitPlan, name: str, gate: UnitPlan | None = None) -> list[str]:
    """A line of the table; a task alone in its domain gates as the domain does."""
    gates = (gate or unit).gates
    epochs = f"×{unit.epochs}" if isinstance(unit, TaskPlan) and unit.epochs > 1 else ""
    return [
        printable(name),
        f"{unit.n:,}{epochs}",
        *(f"{100 * value:.2f}" for value in (unit.se, unit.mde80, unit.mde80_family)),
        "-" if unit.margin is None else f"{100 * unit.margin:g}{'*' if gates else ''}",
        "-" if unit.p_pass is None else f"{unit.p_pass:.2f}",
        _needed(unit) if unit.needs else "-",
        f"{100 * unit.suggested_margin:g}",
    ]


def _needed(unit: UnitPlan) -> str:
    return ", ".join(
        f"{need.items:,}" + (f" or ×{need.epochs}" if need.epochs and need.items > unit.n else "")
        for need in unit.needs
    )


def _spread(task: TaskPlan) -> str:
    told = f"sd {task.sd:.2f}, {printable(task.source)}"
    if not task.between or task.within is None:
        return told
    noise = task.within / task.epochs / task.sd**2
    return (
        f"{told}; ω² {task.between:.3f}, s² {task.within / 2:.3f}: {noise:.0%} of it is the luck "
        "of sampling"
    )


def _left(plan: Plan) -> Table:
    rows = []
    for task in (each for each in plan.tasks if not each.parts):
        left = task.effort
        rows.append(
            [
                printable(task.name),
                f"{left.answered:,} of {left.requests:,}",
                f"{left.missing:,}",
                f"{left.judgments:,}",
                _count(left.prompt_tokens),
                _count(left.completion_tokens, left.most_tokens),
                _time(left.seconds),
            ]
        )
    headings = ("task", "answered", "to ask", "to judge", "tokens in", "tokens out", "time")
    return _grid(headings, rows)


def _count(tokens: int | None, most: int | None = None) -> str:
    if tokens is None:
        return "-" if most is None else f"≤ {most:,}"
    return f"{tokens:,}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _conclusions(plan: Plan) -> Iterator[str]:
    if plan.p_pass is None:
        yield "Nothing gates: set `gate: margins:` before the run, or every change is only shown."
    else:
        yield f"An unchanged candidate passes all that gates in {plan.p_pass:.0%} of runs."
    yield from (f"✕ {printable(said)}" for said in plan.impossible)
