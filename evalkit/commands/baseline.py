"""The checkpoint to beat."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import RESULTS, format_option, results_option, say


@click.group()
def baseline() -> None:
    """Register which checkpoint is the one to beat; `baseline: registered` in a CONFIG means it."""


@baseline.command()
@click.argument("name")
@click.option("--why", default="", help="A word on it, kept in the history.")
@results_option
def promote(name: str, why: str, results: Path | None) -> None:
    """Make checkpoint NAME of the results the one to beat, its weights included."""
    from evalkit.series.baseline import promote as to_baseline
    from evalkit.series.baseline import text
    from evalkit.storage.store import Store

    say(text([to_baseline(Store(results or Path(RESULTS)), name, why)]))


@baseline.command()
@results_option
@format_option
def show(results: Path | None, form: str) -> None:
    """Show the baseline and all those before it, the newest first."""
    import json
    from dataclasses import asdict

    from evalkit.errors import StoreError
    from evalkit.series.baseline import history, text

    folder = results or Path(RESULTS)
    found = history(folder)
    if not found:
        raise StoreError(f"no baseline in {folder}: `evalkit baseline promote NAME` registers one")
    told = [asdict(each) for each in reversed(found)]
    say(json.dumps(told, indent=1, ensure_ascii=False) + "\n" if form == "json" else text(found))


@baseline.command()
@click.argument("source")
@click.option(
    "--branch", default="", help="Whose artefact.  [default: the one merged into, or main]"
)
@results_option
def fetch(source: str, branch: str, results: Path | None) -> None:
    """Bring cells of an earlier run into the results, so that nothing of them is asked again.

    SOURCE is a folder, a .zip or .tar archive, or in a CI job artifact:NAME: the newest artefact of
    that name that a run on the branch left; on GitLab NAME is the job's.
    """
    import os
    import tempfile

    from evalkit.forge.here import artifact, target_branch
    from evalkit.storage.carried import carry

    folder = results or Path(RESULTS)
    scheme, _, name = source.partition(":")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(source)
        if scheme == "artifact" and name:
            path = Path(scratch, "artifact.zip")
            artifact(os.environ, name, branch or target_branch(os.environ), path)
        new, old = carry(path, folder)
    say("".join(f"{each}\tnew\n" for each in new) + "".join(f"{each}\tkept\n" for each in old))
