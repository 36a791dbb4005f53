"""Memory that is let go is given back: what a run held once is not what it takes from then on."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
from typing import Any

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # glibc's names for them, M_…
LARGE = 2**20
KEPT = 2**23
CYCLES = (150_000, 20, 50)
"""After so many new objects Python looks for cycles of them, and after so many looks farther."""


def give_back() -> None:
    """Has large buffers mapped by themselves, whatever was allocated before; called once, early.

    By itself glibc learns from the first of them to take the next ones from the heap, where what
    is freed in the middle stays.  Arrow's own allocator keeps what it was given.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE)
        mallopt(TRIM_THRESHOLD, KEPT)


def trim() -> None:
    """Gives back what is free between what is in use: after asking it is a tenth of all."""
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _of_glibc(name: str) -> Any:
    """A function of glibc; None where there is another library."""
    return getattr(ctypes.CDLL(None), name, None)


def collect_seldom() -> None:
    """Has Python look for cycles less often: nearly all that a run makes lives on, or has none.

    And not at the end, when all is let go of: that would take a twentieth of a short run.
    """
    gc.set_threshold(*CYCLES)
    atexit.register(gc.freeze)
