"""The host's side: starts the zygote in the strongest sandbox that there is, and keeps it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO

from evalkit.errors import SandboxError
from evalkit.sandbox import room
from evalkit.sandbox.confine import Walls
from evalkit.sandbox.limits import Limits

KINDS = (
    ("namespaces", "seccomp", "user"),
    ("bubblewrap", "seccomp", "landlock"),
    ("seccomp", "landlock", "user"),
)
"""The walls wanted, the strongest sandbox first; the last one starts on every Linux."""

Kind = Sequence[str]

START_SECONDS = 60.0
QUOTAS = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
"""Where a container's share of the processors is written, of either version of cgroups."""
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
TAKEN_ALONG = ("LD_LIBRARY_PATH", "PYTHONHOME")
"""What an interpreter may need to start at all; the zygote forgets it afterwards."""


@dataclass(frozen=True, slots=True)
class _Zygote:
    line: socket.socket
    process: subprocess.Popen[bytes]
    walls: Walls
    name: str  # how it and all its programs are called in a list of processes


class Host:
    """One zygote and the line to it; safe to use from any thread."""

    def __init__(self, kinds: Sequence[Kind] = KINDS) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._gone = False
        self._zygote = _first(kinds)

    @property
    def walls(self) -> Walls:
        """What keeps its programs in."""
        return self._zygote.walls

    @property
    def name(self) -> str:
        """A word that stands in the command line of its processes and of no other."""
        return self._zygote.name

    @property
    def process(self) -> int:
        """The process id of the zygote, or of bubblewrap around it."""
        return self._zygote.process.pid

    @property
    def alive(self) -> bool:
        """Whether it can still be asked, by this process."""
        there = self._owner == os.getpid() and not self._gone
        return there and self._zygote.process.poll() is None

    def settle(self) -> None:
        """Gives a zygote that may be dying, since something of it has failed, the time to."""
        with suppress(subprocess.TimeoutExpired):
            self._zygote.process.wait(timeout=1.0)

    def launch(self, limits: Limits, fds: Sequence[int]) -> None:
        """Has a program started on these descriptors; raises SandboxError if the zygote is gone."""
        job = json.dumps(asdict(limits)).encode()
        try:
            with self._lock:
                socket.send_fds(self._zygote.line, [job], fds)
        except OSError as error:
            self._gone = True
            raise SandboxError(f"the sandbox has gone away: {error.strerror or error}") from None

    def close(self) -> None:
        """Ends the zygote; programs that still run end with the lines of those who asked."""
        self._zygote.line.close()
        if self._owner == os.getpid():
            try:
                self._zygote.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._zygote.process.kill()
                self._zygote.process.wait()


AGAIN_SECONDS = 60.0  # after which one that could not be started is tried again

_current: Host | None = None
_failure: tuple[float, str] = (0.0, "")
_starting = threading.Lock()


def current() -> Host:
    """This process's zygote, started when first needed and again if it has died."""
    global _current, _failure
    with _starting:
        if _current is not None and not _current.alive:
            _current.close()
            _current = None
        if _current is None:
            if time.monotonic() < _failure[0]:
                raise SandboxError(_failure[1])
            try:
                _current = Host()
            except SandboxError as error:
                _failure = (time.monotonic() + AGAIN_SECONDS, str(error))
                raise
        return _current


@atexit.register
def _end() -> None:
    if _current is not None:
        _current.close()


def _fresh_lock() -> None:
    global _starting
    _starting = threading.Lock()


os.register_at_fork(after_in_child=_fresh_lock)  # a thread of the parent may have held it


def _first(kinds: Sequence[Kind]) -> _Zygote:
    """The first kind of sandbox that starts here."""
    if sys.platform != "linux":
        raise SandboxError("model code is run on Linux only: use a Linux machine or container")
    reasons = []
    for kind in kinds:
        try:
            return _start(kind)
        except SandboxError as error:
            reasons.append(f"{' '.join(kind)}: {error}")
    raise SandboxError(f"no sandbox can be started here ({'; '.join(reasons)})")


def _start(kind: Kind) -> _Zygote:
    command = [sys.executable, "-s", "-P", "-B", "-X", "utf8", "-m", "evalkit.sandbox.zygote"]
    command = [*_around(kind), *command]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    name = f"{os.getpid()}:{theirs.fileno()}:{width()}"
    with tempfile.TemporaryFile() as said, theirs:
        process = subprocess.Popen(
            [*command, name, *kind],
            pass_fds=[theirs.fileno()],
            env={
                **{name: os.environ[name] for name in TAKEN_ALONG if name in os.environ},
                **ENVIRONMENT,
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for us: the zygote ends when its line does
        )
        theirs.close()
        try:
            return _Zygote(ours, process, _walls(ours, said), name)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise


def _walls(line: socket.socket, said: IO[bytes]) -> Walls:
    """What the zygote says of itself when it is ready; raises SandboxError if it is not."""
    line.settimeout(START_SECONDS)
    try:
        first = line.recv(1 << 16)
    except TimeoutError:
        raise SandboxError(f"not ready after {START_SECONDS:.0f} s") from None
    line.settimeout(None)
    found = json.loads(first) if first else {}
    if "walls" in found:
        return Walls(**found["walls"])
    said.seek(0)
    last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
    raise SandboxError(found.get("broken") or last or "it ended at once")


def _around(kind: Kind) -> list[str]:
    """What stands before the zygote's command: bubblewrap and its view of the files, or nothing."""
    if "bubblewrap" not in kind:
        return []
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError("bwrap is not installed")
    shown = [*room.readable(), str(Path(__file__).parents[1])]
    seen = [word for path in shown for word in ("--ro-bind", path, path)]
    return [program, "--unshare-all", "--new-session", *seen, "--dev", "/dev", "--proc", "/proc",
            "--tmpfs", room.PRIVATE, "--chdir", "/", "--"]  # fmt: skip


@cache
def width() -> int:
    """How many programs run at once: one for each processor that this process may use."""
    allowed = len(os.sched_getaffinity(0))
    for files in QUOTAS:
        with suppress(OSError, ValueError):  # no quota is the word "max", or -1
            quota, period = map(int, " ".join(Path(file).read_text() for file in files).split())
            allowed = min(allowed, max(1, round(quota / period))) if quota > 0 else allowed
    return allowed


@cache
def slots(_owner: int) -> threading.BoundedSemaphore:
    """A place for every processor, in the process of this id."""
    return threading.BoundedSemaphore(width())
