"""What the sandbox costs: CPU time for a program, against a fresh interpreter for each.

    python -m benchmarks.sandbox_cost [--programs 300]

A program defines a function and passes one assert.  All processes of a sandbox are counted, which
cannot be done for bubblewrap: it does not wait for the processes in it.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from evalkit.errors import SandboxError
from evalkit.sandbox.host import KINDS, Host, width
from evalkit.sandbox.program import opened

PROGRAM = "def double(x):\n    return 2 * x\n"
TESTS = "assert double(2) == 4"


def cpu_seconds() -> float:
    """CPU time of this process and of all that it has waited for."""
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in each)


def in_sandbox(host: Host) -> None:
    """Runs the program in a sandbox that has been started."""
    with opened(where=host) as program:
        program.run(PROGRAM)
        program.run(TESTS, tests=True)


def in_fresh_interpreter(*flags: str) -> None:
    """Runs the program in an interpreter of its own, with our rights."""
    subprocess.run([sys.executable, *flags, "-c", PROGRAM + TESTS], check=True)


def many(programs: int, run: Callable[[], None]) -> None:
    """Runs it so often, as many at once as there are processors."""
    with ThreadPoolExecutor(width()) as pool:
        for done in [pool.submit(run) for _ in range(programs)]:
            done.result()


def measured(kind: tuple[str, ...], programs: int) -> tuple[str, float, float]:
    """A sandbox's walls, CPU seconds to start and end it, and CPU seconds for a program."""
    seconds = []
    for number in (0, programs):
        before = cpu_seconds()
        host = Host([kind])
        many(number, partial(in_sandbox, host))
        host.close()
        seconds.append(cpu_seconds() - before)
    return str(host.walls), seconds[0], (seconds[1] - seconds[0]) / programs


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=300)
    programs = parser.parse_args().programs
    print(f"{programs} programs, {width()} at once; CPU time in ms\n")
    print("| how | to start and end | a program |\n|:--|--:|--:|")
    for kind in (KINDS[0], KINDS[2], ()):
        with suppress(SandboxError):
            walls, start, each = measured(kind, programs)
            print(f"| {walls} | {1000 * start:.0f} | {1000 * each:.1f} |")
    for flags in (("-I", "-S"), ("-I",)):
        before = cpu_seconds()
        many(programs, partial(in_fresh_interpreter, *flags))
        each = (cpu_seconds() - before) / programs
        print(f"| `python {' '.join(flags)}`, nothing isolated | | {1000 * each:.1f} |")


if __name__ == "__main__":
    main()
