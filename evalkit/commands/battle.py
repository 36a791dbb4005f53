"""Checkpoints against each other, by a judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evalkit.commands._shared import config_argument, limit_option, matrix_of, results_option, say

if TYPE_CHECKING:
    from evalkit.exams.exam import Exam
    from evalkit.matrix import Matrix


@click.command()
@config_argument
@click.argument("checkpoints", nargs=-1)
@click.option("--task", default="", help="The judged task.  [default: the only one there is]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of battles.  [default: RESULTS/battles-TASK.jsonl]",
)
@click.option("--style", is_flag=True, help="Take out what length and Markdown earn.")
@results_option
@limit_option
def battle(
    config: Path,
    checkpoints: tuple[str, ...],
    task: str,
    out: Path | None,
    style: bool,
    results: Path | None,
    limit: int | None,
) -> None:
    """Have CONFIG's judge compare the stored answers of CHECKPOINTS, all by default, pair by pair.

    Each pair is shown in both orders, and no checkpoint is asked anything.  Who won is ranked by
    Bradley-Terry, with ties, and intervals by bootstrap over questions.  The battles are written in
    the form of arenas (model_a, model_b, winner).
    """
    from evalkit.errors import ConfigError
    from evalkit.judging.bouts import bouts, fought, spent
    from evalkit.judging.costs import cost_of
    from evalkit.judging.panel import Panel
    from evalkit.judging.trust import cost_told
    from evalkit.seat import seating
    from evalkit.storage.files import write_beside
    from evalkit.storage.journal import dumps
    from evalkit.storage.store import Store, safe
    from evalkit.terminal.progress import progress
    from evalkit.training.pipeline import identified, trained

    matrix, folder = matrix_of(config, results, limit)
    exam = _exam(matrix, task)
    names = _names(matrix, checkpoints)
    with progress() as notify:
        matrix = identified(trained(identified(matrix), folder, notify, make=False))
        panel = Panel.of(matrix)
        if panel is None:
            raise ConfigError(f"{config}: nobody judges: name a `judge:`")
        seats = [
            seat
            for seat in seating(matrix, Store(folder))
            if seat.exam.label == exam.label and seat.row.checkpoint.name in names
        ]
        pairs = bouts(exam, seats)
        rows = list(fought(panel, exam, pairs, folder, notify))
    path = out or folder / f"battles-{safe(exam.label)}.jsonl"
    write_beside(path, b"".join(dumps(row) + b"\n" for row in rows))
    say(_table(rows) + _ranked(path, matrix.baseline, styled=style))
    cost = cost_told(cost_of(spent(panel, exam, pairs, folder), matrix.prices))
    click.echo(f"judging took {cost or 'nothing'}\nwrote {path}", err=True)


def _exam(matrix: Matrix, task: str) -> Exam:
    from evalkit.errors import ConfigError

    judged = {exam.label: exam for exam in matrix.exams if exam.task.rubric}
    if task in judged or (not task and len(judged) == 1):
        return judged[task] if task else next(iter(judged.values()))
    there = ", ".join(judged) or "none"
    raise ConfigError(f"--task: which judged task?  There are: {there}")


def _names(matrix: Matrix, chosen: tuple[str, ...]) -> list[str]:
    from evalkit.errors import ConfigError, UnknownName

    known = [row.checkpoint.name for row in matrix.rows]
    for name in chosen:
        if name not in known:
            raise UnknownName("checkpoint", name, known)
    names = [name for name in known if name in chosen] if chosen else known
    if len(names) < 2:
        raise ConfigError("a battle takes two checkpoints")
    return names


def _ranked(path: Path, baseline: str, *, styled: bool) -> str:
    """What `evalkit rank` says of the file, from the baseline where that can be ranked."""
    from evalkit.errors import DataError, UnknownName
    from evalkit.ranking.files import read
    from evalkit.ranking.table import table, text

    fought = list(read(path, styled=styled))
    for anchor in (baseline, ""):
        try:
            return f"\n{text(table(fought, anchor, styled=styled))}"
        except (DataError, UnknownName) as error:
            reason = str(error)
    return f"\nno ranking: {reason}\n"


def _table(rows: list[dict[str, Any]]) -> str:
    """Won, tied and lost games of every pair."""
    from evalkit.reporting.reading import printable
    from evalkit.terminal.columns import columns

    pairs = dict.fromkeys((row["model_a"], row["model_b"]) for row in rows)
    told = []
    for a, b in pairs:
        games = [row["winner"] for row in rows if (row["model_a"], row["model_b"]) == (a, b)]
        counts = [games.count(how) for how in ("model_a", "tie", "model_b")]
        told.append([f"{printable(a)} against {printable(b)}", *map(str, counts)])
    return columns(["", "won", "tied", "lost"], told) + "\n"
