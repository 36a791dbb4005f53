"""The command line: each command imports what it needs when it runs.

stdout carries the report, stderr is for people.  An `EvalkitError` becomes one line and its exit
code; anything else is our bug and shows a traceback.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evalkit import __version__
from evalkit.errors import EvalkitError

if TYPE_CHECKING:
    from evalkit.matrix import Matrix
    from evalkit.verdict import Report

RESULTS = "results"

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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="evalkit")
def cli() -> None:
    """Says what a post-training run improved and what it broke, with statistics that hold.

    \b
    Exit codes: 0 passed, 1 regressed, 2 usage or configuration, 3 inconclusive,
    4 invalid or not measured.
    """


@cli.command("run-matrix")
@config_argument
@results_option
@report_dir_option
@click.option("--gate", is_flag=True, help="Exit with the verdict's code: 1 regressed, 3 unclear.")
@limit_option
def run_matrix(
    config: Path, results: Path | None, report_dir: Path | None, gate: bool, limit: int | None
) -> None:
    """Train, ask, grade and compare whatever of CONFIG has not been yet; then report."""
    from evalkit import report as reporting
    from evalkit.progress import progress
    from evalkit.run import hold

    matrix, folder = _matrix(config, results, limit)
    with progress() as notify:
        held = hold(matrix, folder, notify)
    found = reporting.of_run(held)
    _show(found, report_dir or folder / "report", matrix.reports)
    for failure in held.failures:
        click.echo(f"evalkit: {_one_line(failure)}", err=True)
    if gate:
        sys.exit(found.exit_code)
    sys.exit(0 if _measured(found) else 4)


@cli.command()
@config_argument
@click.argument("stages", nargs=-1)
@results_option
def train(config: Path, stages: tuple[str, ...], results: Path | None) -> None:
    """Train the stages of CONFIG's pipeline that are missing; all of them, or those named."""
    from evalkit.errors import UnknownName
    from evalkit.progress import progress
    from evalkit.run import trained

    matrix, folder = _matrix(config, results, None)
    known = [stage.name for stage in matrix.stages]
    for name in stages:
        if name not in known:
            raise UnknownName("stage", name, known)
    with progress() as notify:
        made = trained(matrix, folder, notify, stages)
    for row in (*made.rows, *([made.judge] if made.judge else [])):
        if row.checkpoint.method and row.checkpoint.model:
            click.echo(f"{row.checkpoint.name}\t{row.checkpoint.model}")


@cli.command()
@config_argument
@results_option
@report_dir_option
@limit_option
def gate(config: Path, results: Path | None, report_dir: Path | None, limit: int | None) -> None:
    """Judge what the results hold by CONFIG's `gate:` and exit with the verdict; asks nothing."""
    from evalkit import report as reporting
    from evalkit.events import silent
    from evalkit.run import hold

    matrix, folder = _matrix(config, results, limit)
    found = reporting.of_run(hold(matrix, folder, silent, ask=False))
    _show(found, report_dir or folder / "report", matrix.reports)
    sys.exit(found.exit_code)


@cli.command()
@click.argument("baseline")
@click.argument("candidates", nargs=-1, required=True)
@results_option
def compare(baseline: str, candidates: tuple[str, ...], results: Path | None) -> None:
    """Compare checkpoints that the results hold already, each against BASELINE."""
    from evalkit import report as reporting
    from evalkit.compare import Policy
    from evalkit.errors import ConfigError
    from evalkit.store import Store

    if baseline in candidates:
        raise ConfigError(f"{baseline} is the baseline: name others to hold against it")
    store = Store(results or Path(RESULTS))
    found = reporting.of_store(store, [baseline, *candidates], Policy())
    _say(_rendered("terminal", found))
    sys.exit(0 if _measured(found) else 4)


@cli.command()
@click.argument("verdict", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "name", default="terminal", show_default=True, help="A renderer's name.")
def report(verdict: Path, name: str) -> None:
    """Render a verdict.json again, in any format that `evalkit list reports` shows."""
    from evalkit.reading import read_verdict

    _say(_rendered(name, read_verdict(verdict)))


@cli.command()
@click.argument("cell", type=click.Path(path_type=Path, file_okay=False))
@click.argument("sample", required=False)
@click.option(
    "--against",
    type=click.Path(path_type=Path, file_okay=False),
    help="List the samples that CELL lost: those on which this other cell scores higher.",
)
def show(cell: Path, sample: str | None, against: Path | None) -> None:
    """Show a cell of the results folder, or one SAMPLE of it by the benchmark's own id."""
    from evalkit.reading import describe_cell, describe_sample, lost_samples

    if against:
        _say(f"{lost_samples(cell, against)}\n")
    else:
        _say(f"{describe_sample(cell, sample) if sample else describe_cell(cell)}\n")


@cli.command("list")
@click.argument("kind", type=click.Choice(["tasks", "backends", "trainers", "reports"]))
def list_plugins(kind: str) -> None:
    """List the tasks, backends, trainers or reports there are."""
    from evalkit.reading import listing

    _say(f"{listing(kind)}\n")


def main() -> None:
    """The command `evalkit`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 is no reason to fail
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("evalkit: stopped; run the same command again to go on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EvalkitError as error:
        click.echo(f"evalkit: {_one_line(error)}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # a file that somebody moved or locked, wherever it was met
        if error.filename is None:
            raise
        click.echo(f"evalkit: {error.filename}: {error.strerror}; mend it, run again", err=True)
        sys.exit(EvalkitError.exit_code)


def _matrix(config: Path, results: Path | None, limit: int | None) -> tuple[Matrix, Path]:
    from evalkit.config import load
    from evalkit.matrix import resolve

    loaded = load(config)
    stated = loaded.config.results
    folder = results or (loaded.resolve(stated) if stated else Path(RESULTS))
    return resolve(loaded, limit), folder.absolute()


def _show(report: Report, folder: Path, formats: tuple[str, ...]) -> None:
    from evalkit.report import write

    written = write(report, folder, formats)
    _say(_rendered("terminal", report))
    click.echo("\n".join(f"wrote {path}" for path in written), err=True)


def _say(text: str) -> None:
    """Prints to stdout; a reader that has gone away changes no exit code."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(error: object) -> str:
    from evalkit.reading import printable

    return printable(" ".join(str(error).split()))


def _rendered(name: str, report: Report) -> str:
    from evalkit import plugins
    from evalkit.verdict import Renderer

    renderer = plugins.find("reports", name)
    assert isinstance(renderer, Renderer)
    return renderer.render(report)


def _measured(report: Report) -> bool:
    cells = [cell for candidate in report.candidates for cell in candidate.cells]
    scored = all(score.score is not None for score in report.scores)
    return bool(report.scores) and scored and all(cell.verdict != "invalid" for cell in cells)


if __name__ == "__main__":
    main()
