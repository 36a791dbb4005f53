"""The kinds of sandbox that tests are run in: every one that this machine can start."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from evalkit.errors import SandboxError
from evalkit.sandbox.host import KINDS, Host
from evalkit.sandbox.limits import Failed, Limits
from evalkit.sandbox.program import opened

BARE: tuple[str, ...] = ()
NAMES = {"namespaces": KINDS[0], "bubblewrap": KINDS[1], "confined": KINDS[2], "bare": BARE}
APART = ("namespaces", "bubblewrap", "confined")
"""The kinds that keep more than the limits on what a program uses."""

QUICK = Limits(seconds=0.3, clock=2.0, total=4.0)


@cache
def _host(name: str) -> Host | str:
    try:
        return Host([NAMES[name]])
    except SandboxError as error:
        return str(error)


def started(name: str) -> Host:
    """A sandbox of that kind, kept for all tests; skips where there can be none."""
    found = _host(name)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def outcome(source: str, where: Host, limits: Limits = QUICK) -> str:
    """How a program ended: "" is well."""
    with opened(limits, where) as program:
        try:
            program.run(source)
        except Failed as failed:
            return str(failed)
    return ""


def processes(name: str) -> Iterator[int]:
    """The processes of a sandbox of that name that there are now, its zygote among them."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if name.encode() in words and state != "Z":
                yield int(entry.name)
