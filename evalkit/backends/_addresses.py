"""Several servers of one model: each request goes to the one that has the least to do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from evalkit.backends._retry import Failure

SHUNNED = 10.0  # seconds for which a server that fails is asked only if none else is left
IN_A_ROW = 3
"""So many failures that come and go, and a server is shunned as one that does not answer."""


@dataclass(slots=True)
class Address:
    """One server."""

    base_url: str
    in_flight: int = 0
    failed: int = 0  # in a row
    shunned: float = 0.0  # until then, by the clock `time.monotonic`

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Counts what is asked of it, and whether it answers.

        A server that refuses at once has the least to do: it would draw every request.
        """
        self.in_flight += 1
        try:
            yield
            self.failed = 0
        except Failure as failure:
            self.failed += failure.again
            if failure.elsewhere or self.failed >= IN_A_ROW:
                self.shunned = time.monotonic() + SHUNNED
            raise
        finally:
            self.in_flight -= 1


def least_loaded(addresses: Sequence[Address]) -> Address:
    """The one with the fewest requests in flight of those that do answer."""
    if len(addresses) == 1:
        return addresses[0]
    now = time.monotonic()
    return min(addresses, key=lambda each: (each.shunned > now, each.in_flight))
