"""Rate limits kept from this side: so many requests, and so many tokens, a minute.

Evenly spaced, so that no minute has more than its share, whichever minute a server counts by.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MINUTE = 60.0
BYTES_A_TOKEN = 4  # of a request, until its server has counted


@dataclass(slots=True)
class Limit:
    """Something that may be used up at a rate."""

    per_minute: float  # 0 is no limit
    free: float = 0.0  # when the next may be taken, by the clock `time.monotonic`

    def take(self, amount: float) -> float:
        """Takes an amount; the seconds to wait before it may be used."""
        if not self.per_minute:
            return 0.0
        now = time.monotonic()
        begin = max(now, self.free)
        self.free = begin + amount * MINUTE / self.per_minute
        return begin - now

    def correct(self, amount: float) -> None:
        """Takes more, or gives back some of what was taken."""
        if self.per_minute:
            self.free += amount * MINUTE / self.per_minute


@dataclass(slots=True)
class Pace:
    """Both limits of a server."""

    requests: Limit
    tokens: Limit

    async def wait(self, data: bytes, body: Mapping[str, Any]) -> float:
        """Waits for a request's turn; the tokens that it is expected to take."""
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 0
        expected = len(data) / BYTES_A_TOKEN + most * (body.get("n") or 1)
        seconds = max(self.requests.take(1), self.tokens.take(expected))
        if seconds > 0:
            await asyncio.sleep(seconds)
        return expected

    def count(self, expected: float, answer: Mapping[str, Any]) -> None:
        """Takes note of the tokens that a request did take."""
        usage = answer.get("usage")
        total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
        if isinstance(total, int):
            self.tokens.correct(total - expected)
