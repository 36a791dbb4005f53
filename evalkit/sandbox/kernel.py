"""The system calls that Python does not have, by ctypes; Linux only."""

from __future__ import annotations

import ctypes
import os
from typing import Any

NEW_MOUNTS, NEW_HOST_NAME, NEW_IPC = 0x0002_0000, 0x0400_0000, 0x0800_0000
NEW_USERS, NEW_PIDS, NEW_NETWORK = 0x1000_0000, 0x2000_0000, 0x4000_0000

BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x4_0000
NO_SET_UID, NO_DEVICES, NO_PROGRAMS = 2, 4, 8
DETACH = 2

MOUNT_SETATTR, PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41}
READ_ONLY_ATTRIBUTES = 1 | 2 | 4  # read-only, no set-uid, no devices
AT_RECURSIVE, AT_HERE = 0x8000, -100

SET_SECCOMP, SECCOMP_FILTER = 22, 2
NO_NEW_PRIVILEGES, SUBREAPER, DUMPABLE, PARENT_DEATH = 38, 36, 4, 1
CAPABILITY_VERSION = 0x2008_0522

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """Calls the C library; raises OSError where it says -1."""
    result = int(getattr(_libc, name)(*arguments))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def system_call(number: int, *arguments: Any) -> int:
    """Calls the kernel by number; raises OSError where it says -1."""
    return call("syscall", ctypes.c_long(number), *arguments)


def unshare(spaces: int) -> None:
    """Leaves the namespaces named for new ones."""
    call("unshare", ctypes.c_int(spaces))


def mount(what: str, where: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mounts a file system, or a folder a second time."""
    texts = [os.fsencode(text) if text else None for text in (what, where, kind)]
    call("mount", *texts, ctypes.c_ulong(flags), os.fsencode(options) if options else None)


def make_read_only(where: str) -> None:
    """Makes a mount and all below it read-only, without devices and set-uid programs."""
    wanted = (ctypes.c_uint64 * 4)(READ_ONLY_ATTRIBUTES, 0, 0, 0)
    path = ctypes.c_char_p(os.fsencode(where))
    arguments = (ctypes.c_uint(AT_RECURSIVE), ctypes.byref(wanted), ctypes.c_size_t(32))
    system_call(MOUNT_SETATTR, ctypes.c_int(AT_HERE), path, *arguments)


def take_as_root(where: str) -> None:
    """Makes a mount the root of the file system and lets go of the old one."""
    os.chdir(where)
    here = ctypes.c_char_p(b".")
    system_call(PIVOT_ROOT[os.uname().machine], here, here)
    call("umount2", here, ctypes.c_int(DETACH))
    os.chdir("/")


def set_process(option: int, *values: int) -> None:
    """Sets an attribute of this process (prctl)."""
    padded = (*values, 0, 0, 0, 0)[:4]
    call("prctl", ctypes.c_int(option), *(ctypes.c_ulong(value) for value in padded))


def drop_capabilities() -> None:
    """Gives up every capability; with no new privileges, for good."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    call("capset", ctypes.byref(header), ctypes.byref(none))


def cpu_seconds(process: int) -> float:
    """CPU time that a process has used so far, without its children."""
    import time

    try:
        return time.clock_gettime((~process << 3) | 2)
    except OSError:  # it is gone
        return 0.0
