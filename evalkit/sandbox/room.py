"""The room: namespaces of its own and a file system that holds the interpreter and nothing else.

The zygote enters it once; every program gets a process namespace and a private folder in it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from evalkit.sandbox import kernel

DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
LIBRARIES = (
    *("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib"),
    *("/usr/local/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/nix/store"),
)
SITE = "/proc"  # where the room is built: every machine has it, and nothing needed lies below it
PRIVATE = "/private"  # the private folder, seen from inside


@cache
def readable() -> list[str]:
    """The files and folders that an interpreter needs: libraries, the standard one and others."""
    paths = sysconfig.get_paths()
    wanted = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for prefix in (sys.prefix, sys.base_prefix):
        wanted += [f"{prefix}/lib", f"{prefix}/lib64", f"{prefix}/pyvenv.cfg"]
    wanted += [os.path.dirname(sys.executable), *_hops(sys.executable), *LIBRARIES]
    return [path for path in _topmost(wanted) if os.path.exists(path)]


def _hops(path: str) -> Iterator[str]:
    """A file, and what it leads to by one symbolic link after the other."""
    yield path
    if os.path.islink(path):
        yield from _hops(os.path.join(os.path.dirname(path), os.readlink(path)))


def _topmost(paths: list[str]) -> Iterator[str]:
    """Each path that lies in none of the others, shortest first."""
    taken: set[str] = set()
    for path in sorted({os.path.normpath(path) for path in paths}):
        if not any(str(parent) in taken for parent in Path(path).parents):
            taken.add(path)
            yield path


def enter() -> bool:
    """Goes on in a process to which only the room is left; whether it kept its privileges.

    The process that called it waits for that one's end.  Raises OSError where the kernel will not
    have it.
    """
    spaces = kernel.NEW_MOUNTS | kernel.NEW_NETWORK | kernel.NEW_IPC | kernel.NEW_HOST_NAME
    spaces |= kernel.NEW_PIDS
    try:
        kernel.unshare(spaces)
        privileged = True
    except PermissionError:
        _as_a_user_of_its_own(spaces)
        privileged = False
    inside = os.fork()
    if inside:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1]) & 0xFF)
    kernel.set_process(kernel.PARENT_DEATH, signal.SIGKILL)
    kernel.mount("none", "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
    kernel.mount("tmpfs", SITE, "tmpfs", kernel.NO_SET_UID, "mode=755,size=1m")
    for path in readable():
        _show(path)
    os.mkdir(SITE + PRIVATE)
    for device in DEVICES:
        _place(device)
    kernel.make_read_only(SITE)
    for device in DEVICES:  # now, so that they can be written to
        kernel.mount(device, SITE + device, flags=kernel.BIND)
    kernel.take_as_root(SITE)
    return privileged


def fork() -> int:
    """Forks a process that is the first of a namespace, whose end is the end of all in it."""
    own = os.getpid()
    kernel.unshare(kernel.NEW_PIDS)
    try:
        return os.fork()
    finally:
        if os.getpid() == own:  # and the next ones are born here again
            itself = os.pidfd_open(own)
            kernel.call("setns", ctypes.c_int(itself), ctypes.c_int(kernel.NEW_PIDS))
            os.close(itself)


def private_folder(size: int, user: int) -> None:
    """A folder of this process's own, in memory, of so many bytes and 1,024 files at most."""
    kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_IPC)
    options = f"size={size},nr_inodes=1024,mode=700,uid={user},gid={user}"
    kernel.mount("tmpfs", PRIVATE, "tmpfs", kernel.NO_SET_UID | kernel.NO_DEVICES, options)


def _as_a_user_of_its_own(spaces: int) -> None:
    """The same in a user namespace, which needs no privileges where the machine allows it."""
    user, group = os.getuid(), os.getgid()
    kernel.unshare(spaces | kernel.NEW_USERS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _show(path: str) -> None:
    if os.path.islink(path):
        Path(SITE + path).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(os.readlink(path), SITE + path)
    else:
        _bind(path)


def _bind(path: str) -> None:
    kernel.mount(path, _place(path), flags=kernel.BIND | kernel.RECURSIVE)


def _place(path: str) -> str:
    """An empty file or folder of that name, to mount it on."""
    target = Path(SITE + path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.isdir(path):
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    return str(target)
