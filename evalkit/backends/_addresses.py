"""Several servers of one model: each request goes to the one that has the least to do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from evalkit.backends._retry import Failure

SHUNNED = 10.0  # seconds for which a server that did not answer is asked only if none else is left


@dataclass(slots=True)
class Address:
    """One server."""

    base_url: str
    in_flight: int = 0
    shunned: float = 0.0  # until then, by the clock `time.monotonic`

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Counts what is asked of it, and whether it answers at all."""
        self.in_flight += 1
        try:
            yield
        except Failure as failure:
            if failure.silent:
                self.shunned = time.monotonic() + SHUNNED
            raise
        finally:
            self.in_flight -= 1


def least_loaded(addresses: Sequence[Address]) -> Address:
    """The one with the fewest requests in flight of those that answer."""
    if len(addresses) == 1:
        return addresses[0]
    now = time.monotonic()
    return min(addresses, key=lambda each: (each.shunned > now, each.in_flight))
