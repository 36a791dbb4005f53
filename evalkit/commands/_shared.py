"""What several commands have in common: arguments, options, and how they speak."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from evalkit.configuration.config import Loaded
    from evalkit.evidence.values import Evidence
    from evalkit.matrix import Matrix
    from evalkit.verdict import Renderer, Report

RESULTS = "results"
WIDTH = 100  # columns, where there is no terminal
MIN_WIDTH = 40  # what is narrower wraps as it likes

config_argument = click.argument("config", type=click.Path(path_type=Path))
results_option = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps answers, scores and checkpoints.  [default: `results:` or ./results]",
)
report_dir_option = click.option(
    "--report-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for verdict.json, report.md and the other reports.  [default: RESULTS/report]",
)
limit_option = click.option(
    "--limit", type=click.IntRange(min=2), help="Only so many items of each task."
)

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How it is shown.",
)


def matrix_of(config: Path, results: Path | None, limit: int | None) -> tuple[Matrix, Path]:
    """The matrix of a config, and the results folder it goes with."""
    from evalkit.configuration.config import load
    from evalkit.configuration.resolve import resolve
    from evalkit.series.baseline import named

    loaded = load(config)
    folder = results_of(loaded, results)
    loaded, registered = named(loaded, folder)
    return replace(resolve(loaded, limit), registered=registered), folder


def results_of(loaded: Loaded, given: Path | None) -> Path:
    """The results folder: the one given, else the one the config states, else `results`."""
    stated = loaded.config.results
    return (given or (loaded.resolve(stated) if stated else Path(RESULTS))).absolute()


def told_how(report: Report, words: Sequence[object], config: Path) -> Report:
    """The report with how it was made: the command after `evalkit`, by the file's name alone."""
    from evalkit.reporting.provenance import made

    return report.model_copy(update={"made": made([*map(str, words)], config)})


def publish(report: Report, results: Path, folder: Path | None, formats: tuple[str, ...]) -> None:
    """Prints a report of some results and writes its files; stderr says which."""
    from evalkit.evidence.stored import StoredEvidence
    from evalkit.reporting.writing import write

    evidence = StoredEvidence(results, report)
    written = write(report, folder or results / "report", formats, evidence)
    say(fitted(renderer_of("terminal"), report))
    click.echo("\n".join(f"wrote {path}" for path in written), err=True)
    _summarise(report, written[0].parent)


def _summarise(report: Report, folder: Path) -> None:
    """In a step on GitHub, shows the report as the step's summary; no failure of a run is this."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return
    from evalkit.forge.summary import put

    try:
        if put(Path(summary), rendered("markdown", report), folder):
            return
        reason = "over 1 MiB with what is there already"
    except OSError as error:
        reason = error.strerror or str(error)
    click.echo(f"no summary at {one_line(summary)}: {one_line(reason)}", err=True)


def refuse_margins(report: Report, matrix: Matrix, config: Path) -> None:
    """Raises ConfigError where a margin could hardly be passed by an unchanged model."""
    from evalkit.comparison.refusal import refuse
    from evalkit.configuration.config import load

    refuse(report, matrix.policy, load(config))


def say(text: str) -> None:
    """Prints to stdout; a reader that has gone away changes no exit code."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def one_line(error: object) -> str:
    """An error as one line that cannot drive a terminal."""
    from evalkit.reporting.reading import printable

    return printable(" ".join(str(error).split()))


def rendered(name: str, report: Report) -> str:
    """A report in the format of that name."""
    return renderer_of(name).render(report)


def fitted(renderer: Renderer, report: Report, evidence: Evidence | None = None) -> str:
    """A report as this terminal takes it: in its width and colours, where it is one.

    Elsewhere it is plain and as wide as it is written to files, but for a width in COLUMNS.
    """
    from evalkit.evidence.values import NO_SAMPLES

    if renderer.fit is None or not (sys.stdout.isatty() or os.environ.get("COLUMNS")):
        return renderer.render(report, evidence or NO_SAMPLES)
    return renderer.fit(report, *canvas())


def canvas() -> tuple[int, bool]:
    """How many columns stdout has, or COLUMNS says, and whether it takes colours."""
    terminal, width = sys.stdout.isatty(), WIDTH
    if terminal or os.environ.get("COLUMNS"):
        width = shutil.get_terminal_size((WIDTH, 24)).columns
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return max(MIN_WIDTH, width), colour


def renderer_of(name: str) -> Renderer:
    """The renderer of that name."""
    from evalkit import plugins
    from evalkit.verdict import Renderer

    found = plugins.find("reports", name)
    assert isinstance(found, Renderer)
    return found


def measured(report: Report) -> bool:
    """Whether every cell of a report was measured."""
    cells = [cell for candidate in report.candidates for cell in candidate.cells]
    scored = all(score.score is not None for score in report.scores)
    return bool(report.scores) and scored and all(cell.verdict != "invalid" for cell in cells)
