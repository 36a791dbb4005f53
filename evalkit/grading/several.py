"""What several answers to each item say together: avg@k, pass@k, pass^k and maj@k.

They are summed item by item, so that no more than one item's answers are held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

from evalkit.stats.samples import majority, pass_at_k, pass_hat_k
from evalkit.types import Task

LEAST = 2
PUBLISHED = (5, 10, 100)
"""Those k besides that papers on code report."""


class Several:
    """The figures of answers that are right or wrong; none where a score lies between.

    k runs over 2, 3 and 4, the powers of two, 5, 10 and 100, and the answers per item.  An item of
    which an answer is missing is left out, and maj@k where no answers were read.
    """

    def __init__(self, samples: int, best: float, worst: float) -> None:
        self.samples, self.best, self.worst = samples, best, worst
        self._item: Hashable = None
        self._answers: list[tuple[float | None, str | None]] = []
        self._sums: dict[str, float] = defaultdict(float)
        self._items, self._fractional, self._read = 0, False, False

    @classmethod
    def of(cls, task: Task) -> Several:
        """Those of a task, as often as it is asked."""
        low, high = task.bounds
        return cls(task.epochs, *((high, low) if task.higher_is_better else (low, high)))

    def take(self, item: Hashable, value: float | None, answer: str | None) -> None:
        """One score with what was read; those of one item come one after the other."""
        if self.samples < LEAST:
            return
        if item != self._item:
            self._add()
            self._item, self._answers = item, []
        self._answers.append((value, answer))

    def figures(self) -> dict[str, float]:
        """The means over items, by name."""
        self._add()
        self._answers = []
        if self._fractional or not self._items:
            return {}
        return {
            name: total / self._items
            for name, total in self._sums.items()
            if self._read or not name.startswith("maj")
        }

    def _add(self) -> None:
        values = [value for value, _ in self._answers if value is not None]
        self._fractional |= any(value not in (self.best, self.worst) for value in values)
        n = len(self._answers)
        if n < LEAST or len(values) < n or self._fractional:
            return
        right = [value == self.best for value in values]
        answers = [answer for _, answer in self._answers]
        self._items += 1
        self._read |= any(answer is not None for answer in answers)
        self._sums[f"avg@{n}"] += sum(right) / n
        for k in _ks(n):
            self._sums[f"pass@{k}"] += float(pass_at_k(n, sum(right), k))
            self._sums[f"pass^{k}"] += float(pass_hat_k(n, sum(right), k))
        self._sums[f"maj@{n}"] += majority(answers, list(map(float, right)))


def _ks(n: int) -> list[int]:
    powers = [2**i for i in range(1, n.bit_length())]
    return sorted(k for k in {2, 3, 4, *powers, *PUBLISHED, n} if k <= n)
