"""Real servers in processes of their own, whose logs say what they were asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SERVER = Path(__file__).parent / "chat_server.py"


@contextmanager
def server(log: Path, *options: str | Path) -> Iterator[str]:
    """A server in a process of its own, started with those options; gives its address."""
    command = [sys.executable, SERVER, "--log", log, *options]
    if "--port" not in options:
        command += ["--port", "0"]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def evalkit(
    *arguments: str | Path, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """The command, as a user starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "evalkit.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(variables or {})},
    )


def asked(log: Path) -> Counter[str]:
    """How often a server was asked each prompt."""
    if not log.exists():
        return Counter()
    return Counter(line.split()[0] for line in log.read_text().splitlines())


def requests(logs: Sequence[Path]) -> int:
    """How often servers were asked, all together."""
    return sum(log.read_bytes().count(b"\n") for log in logs if log.exists())
