"""Landlock: which files a process may still open, where there is no mount namespace to decide it.

Any process may put it on itself, also in containers that allow no namespaces.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from evalkit.sandbox import kernel

CREATE, ADD, RESTRICT = 444, 445, 446
ASK_VERSION, BENEATH = 1, 1

RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}  # of files, by version
EXECUTE, WRITE, READ, LIST = 1, 2, 4, 8
TRUNCATE = 0x4000
CONNECT_AND_BIND = 3  # by TCP, from version 4
ABSTRACT_SOCKETS, SIGNALS = 1, 2  # out of this process and its children, from version 6


def version() -> int:
    """The version that the kernel has; 0 is none."""
    try:
        return kernel.system_call(CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(ASK_VERSION))
    except OSError:
        return 0


def apply(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str]) -> None:
    """Leaves this process these files and folders, for good; needs no-new-privileges."""
    known = version()
    rights = RIGHTS[min(known, max(RIGHTS))]
    rules = [rights, CONNECT_AND_BIND, ABSTRACT_SOCKETS | SIGNALS]
    told = rules[: 1 if known < 4 else 2 if known < 6 else 3]
    data = struct.pack(f"{len(told)}Q", *told)
    ruleset = kernel.system_call(CREATE, data, ctypes.c_size_t(len(data)), ctypes.c_uint32(0))
    for paths, wanted in (
        (readable, READ | LIST | EXECUTE),
        (writable, rights),
        (devices, READ | WRITE | TRUNCATE),
    ):
        for path in paths:
            _allow(ruleset, path, wanted & rights)
    kernel.system_call(RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no rule
    if not os.path.isdir(path):
        rights &= EXECUTE | READ | WRITE | TRUNCATE
    rule = struct.pack("=Qi", rights, place)
    arguments = (ctypes.c_int(BENEATH), rule, ctypes.c_uint32(0))
    kernel.system_call(ADD, ctypes.c_int(ruleset), *arguments)
    os.close(place)
