"""The command line: finds a command in `evalkit.commands`, and turns errors into exit codes.

stdout carries the report, stderr is for people.  An `EvalkitError` becomes one line and its exit
code; anything else is our bug and shows a traceback.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from io import TextIOWrapper

import click

from evalkit import __version__, commands
from evalkit.commands._shared import one_line
from evalkit.errors import EvalkitError, did_you_mean
from evalkit.processes.children import end_well
from evalkit.processes.memory import collect_seldom, give_back


class Commands(click.Group):
    """The commands by name: `run-matrix` is the one command of `commands/run_matrix.py`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of names."""
        names = [info.name for info in pkgutil.iter_modules(commands.__path__)]
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The command of that name; raises UsageError with the nearest one."""
        known = self.list_commands(ctx)
        if cmd_name not in known:
            ctx.fail(f"no command {cmd_name!r}{did_you_mean(cmd_name, known)}")
        module = import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        return next(value for value in vars(module).values() if isinstance(value, click.Command))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="evalkit")
def cli() -> None:
    """Says what a post-training run improved and what it broke, with statistics that hold.

    \b
    Exit codes: 0 passed, 1 regressed, 2 usage or configuration, 3 inconclusive,
    4 invalid or not measured.
    """


def main() -> None:
    """The command `evalkit`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 is no reason to fail
    end_well()
    give_back()
    collect_seldom()
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("evalkit: stopped; run the same command again to go on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except EvalkitError as error:
        click.echo(f"evalkit: {one_line(error)}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:  # a file that somebody moved or locked, wherever it was met
        if error.filename is None:
            raise
        click.echo(f"evalkit: {error.filename}: {error.strerror}; mend it, run again", err=True)
        sys.exit(EvalkitError.exit_code)


if __name__ == "__main__":
    main()
