"""A filter of system calls: what a program may not even ask the kernel for.

It closes the network where there is no namespace to do that, keeps other processes out of reach,
and takes away the calls that a program which only computes has no use for.
"""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache

from evalkit.sandbox import kernel

ARCHITECTURES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
X32 = 0x4000_0000  # another numbering of the same calls on x86_64

# name -> number on x86_64 and on aarch64, -1 where there is none
NETWORK = {"socket": (41, 198), "bind": (49, 200), "listen": (50, 201), "connect": (42, 203)}
PROCESSES = {"fork": (57, -1), "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281)}
SIGNALS = {
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
}  # fmt: skip
LABELS = {  # on files, which Landlock does not guard
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
NEVER = {
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272), "pidfd_getfd": (438, 438),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # memory and files that no limit counts
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
    "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "userfaultfd": (323, 282), "vmsplice": (278, 75), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "mknod": (133, -1),
    "mknodat": (259, 33),
    # the kernel itself
    "bpf": (321, 280), "perf_event_open": (298, 241), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "syslog": (103, 116), "acct": (163, 89), "quotactl": (179, 60),
    "settimeofday": (164, 170), "adjtimex": (159, 171), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162),
    "iopl": (172, -1), "ioperm": (173, -1), "modify_ldt": (154, -1), "personality": (135, 92),
    "fanotify_init": (300, 262), "lookup_dcookie": (212, 18), "vhangup": (153, 58),
}  # fmt: skip

CLONE, CLONE3 = (56, 220), (435, 435)
KILL, TGKILL, PRLIMIT = (62, 129), (234, 131), (302, 261)
THREAD, NEW_SPACES = 0x0001_0000, 0x7E02_0000

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, END = 0x7FFF_0000, 0x8000_0000
NO_PERMISSION, NOT_THERE = 0x0005_0001, 0x0005_0026  # EPERM, ENOSYS
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in what the filter is shown

Instruction = tuple[int, int, int, int]
INSTRUCTION = struct.Struct("HBBI")


def available() -> bool:
    """Whether the calls of this kind of processor are known here."""
    return os.uname().machine in ARCHITECTURES


def apply(*, processes: bool, reachable: bool) -> None:
    """Puts the filter on this process for good; raises OSError where the kernel has none.

    `processes`: whether it may start any; `reachable`: whether other processes and files could be
    reached, so that it may send signals to itself only and change no file's permissions.
    """
    code = packed(processes, os.getpid() if reachable else None)
    buffer = ctypes.create_string_buffer(code, len(code))
    length, address = len(code) // INSTRUCTION.size, ctypes.addressof(buffer)
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", length, address), 16)
    kernel.set_process(kernel.SET_SECCOMP, kernel.SECCOMP_FILTER, ctypes.addressof(header))


@cache
def packed(processes: bool, itself: int | None) -> bytes:
    """The filter as the kernel takes it; the zygote makes it once for all programs."""
    whole = program(os.uname().machine, processes, itself)
    return b"".join(INSTRUCTION.pack(*each) for each in whole)


def program(machine: str, processes: bool, itself: int | None) -> list[Instruction]:
    """The filter as instructions for the kernel's packet machine."""
    token, column = ARCHITECTURES[machine]
    denied = {**NEVER, **NETWORK, **({} if processes else PROCESSES)}
    if itself is not None:
        denied |= SIGNALS | LABELS
    found: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        *_unless(EQUAL, token, END),
        (LOAD, 0, 0, NUMBER),
        *_when(AT_LEAST, X32, END),
        *_when(EQUAL, CLONE3[column], NOT_THERE),  # its flags are out of sight: clone is asked next
    ]
    for numbers in denied.values():
        found += _when(EQUAL, numbers[column], NO_PERMISSION) if numbers[column] >= 0 else []
    clone = [*_when(ANY_BIT, NEW_SPACES, NO_PERMISSION)]
    clone += [] if processes else _unless(ANY_BIT, THREAD, NO_PERMISSION)
    found += _argument(CLONE[column], clone)
    found += _argument(PRLIMIT[column], _unless(EQUAL, 0, NO_PERMISSION))
    if itself is not None:
        for number in (KILL[column], TGKILL[column]):
            found += _argument(number, _unless(EQUAL, itself, NO_PERMISSION))
    return [*found, (RETURN, 0, 0, ALLOW)]


def _when(test: int, value: int, result: int) -> list[Instruction]:
    return [(test, 0, 1, value), (RETURN, 0, 0, result)]


def _unless(test: int, value: int, result: int) -> list[Instruction]:
    return [(test, 1, 0, value), (RETURN, 0, 0, result)]


def _argument(number: int, tests: list[Instruction]) -> list[Instruction]:
    """Tests of a call's first argument, which end it as allowed if none of them applies."""
    body = [(LOAD, 0, 0, FIRST_ARGUMENT), *tests, (RETURN, 0, 0, ALLOW)]
    return [(EQUAL, 0, len(body), number), *body]
