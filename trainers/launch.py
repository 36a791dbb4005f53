"""Starting a framework's job: here, by Slurm, or by Ray; its log followed, its exit code kept.

`local` starts it as a child of this process.  `sbatch` and `ray` hand it to a cluster and wait;
there the job writes on a file system that this machine shares.  In all three the job ends when
this process does, however that ends.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

from evalkit.errors import ConfigError, did_you_mean
from evalkit.storage.files import write_beside

from . import _leash

KINDS = ("local", "sbatch", "ray")
RECORD = "job.json"


@dataclass(frozen=True)
class Job:
    """A framework's command and where it runs."""

    argv: Sequence[str]
    cwd: str = ""  # "": the folder of the one who asks
    environment: Mapping[str, str] = field(default_factory=dict)  # set besides what there is
    launch: str = "local"
    options: Sequence[str] = ()  # of sbatch, or of `ray job submit`


@dataclass(frozen=True)
class Started:
    """What is run here, and what takes it back where it runs elsewhere."""

    argv: tuple[str, ...]
    stop: tuple[str, ...] = ()


def check(launch: object, options: object) -> None:
    """Raises ConfigError for a way of launching that there is not."""
    if launch not in KINDS:
        raise ConfigError(f"trainer: no launch {launch!r}{did_you_mean(str(launch), KINDS)}")
    if not isinstance(options, list) or not all(isinstance(each, str) for each in options):
        raise ConfigError("trainer: launch_options: give a list of texts, such as [--time=8:00:00]")
    if launch == "local" and options:
        raise ConfigError("trainer: launch_options: a job that is launched here takes none")


def started(job: Job, name: str, log: Path) -> Started:
    """The command that starts a job under that name, and the one that stops it."""
    if job.launch == "local":
        return Started(tuple(job.argv))
    cwd = job.cwd or os.getcwd()
    settings = [f"{key}={value}" for key, value in job.environment.items()]
    words = ["env", *settings, *job.argv] if settings else list(job.argv)
    if job.launch == "sbatch":
        places = (f"--job-name={name}", f"--output={log}", "--open-mode=append", f"--chdir={cwd}")
        wrapped = f"--wrap={shlex.join(words)}"
        submit = ("sbatch", "--wait", *places, *job.options, wrapped)
        return Started(submit, ("scancel", f"--name={name}"))
    script = f"cd {shlex.quote(cwd)} && exec {shlex.join(words)}"
    address = tuple(each for each in job.options if each.startswith("--address"))
    submit = ("ray", "job", "submit", f"--submission-id={name}", *job.options)
    stop = ("ray", "job", "stop", *address, name)
    return Started((*submit, "--", "bash", "-c", script), stop)


def run(job: Job, folder: Path, log: Path) -> int:
    """Starts a job, waits for it, and returns its exit code; what it prints goes to stdout.

    `folder` keeps `job.json`: what was started, when, and how it ended.
    """
    name = f"evalkit-{folder.parent.name}-{secrets.token_hex(3)}"
    start = started(job, name, log)
    record = {"name": name, **asdict(job), "started": time.time()}
    _note(folder, record)
    held = [sys.executable, _leash.__file__, str(os.getpid()), json.dumps(start.stop)]
    print(f"+ {shlex.join(start.argv)}", flush=True)  # noqa: T201 - stdout is the stage's log
    environment = {**os.environ, **job.environment}
    leash = subprocess.Popen(
        [*held, *start.argv], stdin=subprocess.DEVNULL, cwd=job.cwd or None, env=environment
    )
    with leash:
        code, told = _waited(leash)
    _note(folder, {**record, "ended": time.time(), "exit_code": code})
    if told:
        sys.exit(128 + told)
    return code


def _note(folder: Path, record: Mapping[str, object]) -> None:
    write_beside(folder / RECORD, json.dumps(record, indent=1).encode() + b"\n")


class _Told(Exception):
    """A signal says that this process is to end."""


def _waited(leash: subprocess.Popen[bytes]) -> tuple[int, int]:
    """The exit code, and the signal that was obeyed once the job had ended; 0: none."""

    def tell(number: int, frame: FrameType | None) -> None:
        raise _Told(number)

    signals = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.signal(each, tell) for each in signals}
    try:
        return leash.wait(), 0
    except _Told as told:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        leash.terminate()
        return leash.wait(), int(told.args[0])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
