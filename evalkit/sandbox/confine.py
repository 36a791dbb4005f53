"""Confining: what a program's process gives up before it runs model code."""

from __future__ import annotations

import os
import resource
import tempfile
from contextlib import suppress
from dataclasses import dataclass

from evalkit.sandbox import kernel, landlock, room, seccomp
from evalkit.sandbox.limits import Limits

MOST_FILES, MOST_THREADS = 64, 64
FIRST_USER = 1_600_000_000  # ids that no account has


@dataclass(frozen=True, slots=True)
class Walls:
    """What keeps a program in, besides limits on what it may use."""

    namespaces: bool  # its own view of files, processes and the network
    bubblewrap: bool  # the same, made by bubblewrap and shared by all programs
    seccomp: bool  # no call to the kernel that a program which only computes has no use for
    landlock: bool  # files other than the interpreter's out of reach
    user: bool  # a user id of its own

    def __str__(self) -> str:
        return ", ".join([*(name for name in self.__slots__ if getattr(self, name)), "rlimits"])

    @property
    def within_reach(self) -> list[str]:
        """What a program could get at that it should not, in words."""
        apart = self.namespaces or self.bubblewrap
        reach = {
            "the network": apart or self.seccomp,
            "files that your user may read": apart or self.landlock,
            "files that your user may write": apart or self.landlock or self.user,
            "other processes of your user": apart or self.seccomp or self.user,
        }
        return [what for what, closed in reach.items() if not closed]


def confine(walls: Walls, limits: Limits, user: int, folder: str) -> None:
    """Takes from this process all that a program must not have; raises OSError if that fails."""
    os.umask(0o077)
    _limit(limits, walls)
    if folder != room.PRIVATE:
        forget_environment(folder)
    if walls.user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    kernel.drop_capabilities()
    kernel.set_process(kernel.NO_NEW_PRIVILEGES, 1)
    kernel.set_process(kernel.DUMPABLE, 0)
    os.chdir(folder)
    if walls.landlock:
        landlock.apply(room.readable(), [folder], room.DEVICES)
    if walls.seccomp:
        seccomp.apply(processes=limits.processes > 0, reachable=not walls.namespaces)


def _limit(limits: Limits, walls: Walls) -> None:
    apart = walls.namespaces or walls.user
    running = 0 if apart or walls.seccomp else _running()
    bounds = {
        resource.RLIMIT_AS: limits.memory,
        resource.RLIMIT_FSIZE: limits.files,
        resource.RLIMIT_NOFILE: MOST_FILES,
        resource.RLIMIT_CPU: int(limits.total) + 1,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if apart or running:  # it is a limit on all that the user runs
        bounds[resource.RLIMIT_NPROC] = running + limits.processes + MOST_THREADS
    for what, most in bounds.items():
        highest = resource.getrlimit(what)[1]
        most = most if highest == resource.RLIM_INFINITY else min(most, highest)
        resource.setrlimit(what, (most, most))


def _running() -> int:
    """Threads that our own user runs now, in all processes that can be seen."""
    found = 0
    for process in os.listdir("/proc"):
        with suppress(OSError):
            if process.isdigit() and os.stat(f"/proc/{process}").st_uid == os.getuid():
                found += len(os.listdir(f"/proc/{process}/task"))
    return found


def forget_environment(folder: str = room.PRIVATE) -> None:
    """Leaves a process the environment below and nothing else."""
    tempfile.tempdir = folder
    os.environ.clear()
    os.environ.update(
        PATH="/usr/bin:/bin",
        HOME=folder,
        TMPDIR=folder,
        LANG="C.UTF-8",
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
    )
