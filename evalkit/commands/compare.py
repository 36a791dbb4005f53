"""Checkpoints that the results hold, side by side."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, fitted, measured, renderer_of, results_option, say


@click.command()
@click.argument("baseline")
@click.argument("candidates", nargs=-1, required=True)
@click.option("--seeds", is_flag=True, help="A name stands for its seeds: NAME-s0, NAME-s1, …")
@results_option
def compare(baseline: str, candidates: tuple[str, ...], seeds: bool, results: Path | None) -> None:
    """Compare checkpoints that the results hold already, each against BASELINE, side by side.

    One recipe trained with several seeds is `sft-s0,sft-s1,sft-s2`, or `sft` with --seeds: their
    mean is compared, with a baseline of as many seeds one by one.
    """
    from evalkit.comparison.policy import Policy
    from evalkit.reporting import report as reporting
    from evalkit.storage.store import Store

    store = Store(results or Path(RESULTS))
    found = reporting.of_store(store, [baseline, *candidates], Policy(), seeds=seeds)
    say(fitted(renderer_of("table"), found))
    sys.exit(0 if measured(found) else 4)
