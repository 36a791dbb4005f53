"""Following a run while it trains."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import click

from evalkit.commands._shared import results_of, results_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    required=True,
    help="The tasks, the baseline and how checkpoints are asked.",
)
@results_option
@click.option("--name", help="What the run is called in reports.  [default: its folder's name]")
@click.option(
    "--parent", default="", help="The checkpoint it was trained from.  [default: the baseline]"
)
@click.option("--pid", type=int, help="End when this process has ended and all is evaluated.")
@click.option("--once", is_flag=True, help="Evaluate what is there now, and end.")
@click.option("--devices", default="", help="CUDA_VISIBLE_DEVICES of the evaluations.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Seconds between looks.",
)
def watch(
    run: Path,
    config: Path,
    results: Path | None,
    name: str | None,
    parent: str,
    **how: Any,
) -> None:
    """Evaluate the checkpoints of RUN, a folder that a training writes to, as they appear.

    Each is kept from rotation, evaluated in a process of its own against the config's baseline,
    and reported.  The same command goes on where it was stopped.
    """
    from evalkit.configuration.config import load
    from evalkit.identity.weights import parsed
    from evalkit.terminal.progress import progress
    from evalkit.watching.keeping import folder
    from evalkit.watching.subject import Watch, compared
    from evalkit.watching.watch import Manner, follow, until_over

    place = results_of(load(config), results)
    called = name or str(parsed(run / "stage.json").get("name") or run.resolve().name)
    watched = Watch(
        called, str(run.resolve()), str(folder(place, run, called)), str(config.resolve()),
        str(place), parent,
    )  # fmt: skip
    compared(watched)
    signal.signal(signal.SIGTERM, _interrupted)
    over = until_over(run.resolve(), how.pop("pid"))
    with progress() as notify:
        failed = follow(watched, Manner(over, **how), notify)
    report = watched.folder / "report"
    there = report.is_dir()
    click.echo(f"wrote {report}" if there else f"no whole checkpoint in {run}", err=True)
    sys.exit(4 if failed or not there else 0)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
