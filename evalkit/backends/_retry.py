"""When a request is put again, and how long after: exponential back-off with jitter."""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime

OF_THE_SERVER = frozenset({401, 403, 404})
"""What another server may well answer: it is not the request that is refused."""
WORTH_ANOTHER_TRY = frozenset({408, 409, 425, 429})  # and 5xx
LONGEST_BACKOFF = 30.0  # seconds between two tries
LONGEST_RETRY_AFTER = 600.0  # a server that asks for more is treated as down
TIMED_OUT = "no answer within"
"""How the words of a timeout begin: they are all that a response keeps of it."""

NOT_CONNECTED = "no connection within"
TIMEOUT_COST = 3  # a try that timed out has cost minutes: it counts for three


class Failure(Exception):
    """One line on why there is no answer."""

    def __init__(
        self,
        words: str,
        *,
        again: bool = True,
        after: float = 0.0,
        silent: bool = False,
        cost: int = 1,
        status: int = 0,
    ) -> None:
        super().__init__(words)
        self.again = again  # whether another try may help
        self.after = after  # seconds the server asks to be left alone
        self.silent = silent  # the server did not answer at all
        self.cost = cost  # how many tries it counts for
        self.status = status  # of HTTP, where the server gave one

    @property
    def elsewhere(self) -> bool:
        """Whether another server may well answer where this one did not, or would not."""
        return self.silent or self.status in OF_THE_SERVER


def wait(tried: int, backoff: float, after: float) -> float:
    """Seconds before the next try: exponential, jittered by half, never less than asked for."""
    span = min(backoff * 2.0 ** (tried - 1), LONGEST_BACKOFF)
    return after + span * random.uniform(0.5, 1.0)


def retry_after(value: str) -> float:
    """The seconds of a Retry-After header, given as a number or as an HTTP date; 0 if neither."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
