"""What a program may use, and how it may fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MIB = 1 << 20

How = Literal["raised", "ended", "timed out", "too much output", "forged"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use; a step is a piece of source run in it, or one call into it."""

    seconds: float = 3.0  # of CPU time, for one step
    clock: float = 12.0  # seconds that a step may take by the clock, however busy the machine is
    total: float = 60.0  # seconds by the clock for all of its steps together
    memory: int = 2048 * MIB  # bytes of address space, for each process
    output: int = 8 * MIB  # bytes that it may print, or answer to one call
    files: int = 16 * MIB  # bytes in its private folder
    processes: int = 0  # that it may start; threads are free up to 64


USUAL = Limits()


class Failed(Exception):
    """A program did not do what it was asked to: its own fault, never the sandbox's."""

    def __init__(self, how: How, said: str) -> None:
        super().__init__(f"{how}: {said}" if said else how)
        self.how = how
        self.said = said
