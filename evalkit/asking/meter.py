"""Counting answers as they come: who watches is told, and a server that only fails is given up."""

from __future__ import annotations

import time

from evalkit.asking.sitting import Sitting
from evalkit.errors import ModelError
from evalkit.events import Asked, Notify
from evalkit.types import Checkpoint, Response

REPORT_SECONDS = 0.5
HOPELESS = 50
"""So many failures before the first answer mean a dead server, not bad luck."""


class Meter:
    """How far a checkpoint has come."""

    def __init__(self, checkpoint: Checkpoint, notify: Notify, *, may_be_dead: bool) -> None:
        self.checkpoint = checkpoint
        self.notify = notify
        self.may_be_dead = may_be_dead
        self.failures = 0
        self.told = 0.0
        self.started = time.monotonic()
        self.sittings: list[Sitting] = []

    def share_time(self, sittings: list[Sitting]) -> None:
        """Shares the time since the start by how long each sitting's requests took."""
        elapsed = time.monotonic() - self.started
        total = sum(sitting.seconds for sitting in sittings)
        for sitting in sittings:
            sitting.elapsed = elapsed * sitting.seconds / total if total else 0.0

    def count(self, sitting: Sitting, response: Response, seconds: float) -> None:
        """Takes note of one answer; raises ModelError once nothing but failures has come."""
        sitting.done += 1
        sitting.asked += 1
        sitting.tokens += response.completion_tokens
        sitting.seconds += seconds
        if response.error:
            sitting.errors += 1
            self.failures += 1
            if self.may_be_dead and self.failures >= HOPELESS:
                raise ModelError(
                    f"{self.checkpoint.name}: the first {self.failures} requests all failed, "
                    f"the last with: {response.error}; mend it and run again"
                )
        else:
            self.may_be_dead = False
        if time.monotonic() - self.told >= REPORT_SECONDS:
            self.report(sitting)

    def report(self, sitting: Sitting) -> None:
        """Tells how far one cell has come."""
        self.told = time.monotonic()
        elapsed = max(self.told - self.started, 1e-9)
        asked = sum(each.asked for each in self.sittings)
        left = sum(each.total - each.done for each in self.sittings)
        self.notify(
            Asked(
                self.checkpoint.name,
                sitting.exam.label,
                sitting.done,
                sitting.total,
                sitting.errors,
                sum(each.tokens for each in self.sittings) / elapsed,
                left * elapsed / asked if asked else None,
                dict(sorted(sitting.outcomes.items())),
            )
        )
