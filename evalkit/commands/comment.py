"""The report as a comment on a pull request."""

from __future__ import annotations

from pathlib import Path

import click

from evalkit.commands._shared import say


@click.command()
@click.argument(
    "report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("results/report/report.md"),
)
@click.option("--pull", type=click.IntRange(min=1), help="Its number.  [default: the job's own]")
@click.option("--key", default="", help="Tells comments of several reports apart.")
def comment(report: Path, pull: int | None, key: str) -> None:
    """Post REPORT, a report.md, on the pull or merge request that a CI job runs for.

    There is one comment a KEY, which is brought up to date.  The token comes from GITHUB_TOKEN or
    GITLAB_TOKEN.  [default of REPORT: results/report/report.md]
    """
    import os

    from evalkit.errors import StoreError
    from evalkit.forge.comments import marked, post
    from evalkit.forge.here import footer, thread

    try:
        text = report.read_text("utf-8")
    except OSError as error:
        said = f"{report}: {error.strerror}; a run writes it to its report folder"
        raise StoreError(said) from None
    except UnicodeDecodeError:
        raise StoreError(f"{report}: not UTF-8, so no report.md of evalkit") from None
    body = marked(text, key) + footer(os.environ)
    say(f"{post(thread(os.environ, pull), body)}\n")
