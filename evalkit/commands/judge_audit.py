"""How far a judge may be trusted."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.commands._shared import config_argument, limit_option, matrix_of, results_option, say


@click.command("judge-audit")
@config_argument
@click.argument("tasks", nargs=-1)
@results_option
@limit_option
def judge_audit(
    config: Path, tasks: tuple[str, ...], results: Path | None, limit: int | None
) -> None:
    """Audit CONFIG's judge on its judged TASKS, all by default; exits 1 where it is found wanting.

    It is asked about labelled answers where there are any, about the same answers of the baseline
    three times, and about null answers: an empty one, a constant one, and texts that tell it what
    to say.  What is found is kept, and reports print it.
    """
    from evalkit.errors import ConfigError, UnknownName
    from evalkit.judging import trust
    from evalkit.judging.panel import Panel
    from evalkit.judging.session import audited
    from evalkit.reporting.reading import printable
    from evalkit.terminal.progress import progress
    from evalkit.training.pipeline import identified, trained

    matrix, folder = matrix_of(config, results, limit)
    judged = [exam.label for exam in matrix.exams if exam.task.rubric]
    for name in tasks:
        if name not in judged:
            raise UnknownName("judged task", name, judged)
    if not judged or Panel.of(matrix) is None:
        raise ConfigError(f"{config}: no task of it is judged")
    with progress() as notify:
        matrix = identified(trained(identified(matrix), folder, notify, make=False))
        notes = audited(matrix, tasks or tuple(judged), folder, notify)
    say("".join(f"{printable(line)}\n" for note in notes for line in trust.lines(note)))
    sys.exit(1 if any(note.flags for note in notes) else 0)
