"""What judgments show of their judge: counts that add up over cells, and what they cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from evalkit.judging.ledger import Spent, added, read


@dataclass
class Tally:
    """Counts over judged answers; the sums are those of a correlation."""

    answers: int = 0  # graded
    both: int = 0  # pairs of views of one answer that differ by the order
    turned: int = 0  # of those, whose verdict turned with it
    decided: int = 0  # views of two answers that were no tie
    first: int = 0  # of them, won by the answer shown first
    compared: int = 0  # decided answers whose length is not that of the other one
    longer: int = 0  # of them, where the longer one won
    forged: int = 0  # answers that hold a verdict, or a mark of the prompt around them
    length: list[float] = field(default_factory=lambda: [0.0] * 6)  # n, Σx, Σy, Σx², Σy², Σxy
    failures: Counter[str] = field(default_factory=Counter)  # judgments that are no grade
    spent: dict[str, Spent] = field(default_factory=dict)  # by the judge's model

    def add(self, details: Mapping[str, Any], grade: float | None) -> None:
        """One answer, as its score's details tell it."""
        self.failures.update(details.get("failed", {}))
        self.forged += bool(details.get("forged"))
        if grade is None:
            return
        self.answers += 1
        for shown_first, shown_second in orders(details.get("views", {})):
            self._orders(side(shown_first), side(shown_second))
        if "length" in details:
            self._length(grade, *details["length"])

    def _orders(self, shown_first: int, shown_second: int) -> None:
        self.both += 1
        self.turned += shown_first != shown_second
        self.decided += (shown_first != 0) + (shown_second != 0)
        self.first += (shown_first == 1) + (shown_second == -1)

    def _length(self, grade: float, own: float, other: float) -> None:
        if own + other == 0:
            return
        x, y = (own - other) / (own + other), grade
        for at, term in enumerate((1.0, x, y, x * x, y * y, x * y)):
            self.length[at] += term
        if side(grade) and own != other:
            self.compared += 1
            self.longer += (side(grade) == 1) == (own > other)

    @property
    def correlation(self) -> float | None:
        """Pearson's, of how much longer an answer is with its grade."""
        n, x, y, xx, yy, xy = self.length
        spread = (n * xx - x * x) * (n * yy - y * y)
        return (n * xy - x * y) / math.sqrt(spread) if n > 2 and spread > 1e-12 else None

    def as_json(self) -> dict[str, Any]:
        """As `cell.json` keeps it."""
        return {**asdict(self), "failures": dict(self.failures)}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Tally:
        """As `cell.json` keeps it; what a later version added is left out."""
        known = {f.name: kept[f.name] for f in fields(cls) if f.name in kept}
        spent = read(known.get("spent", {}))
        return cls(**{**known, "failures": Counter(known.get("failures", {})), "spent": spent})


COUNTS = ("answers", "both", "turned", "decided", "first", "compared", "longer", "forged")


def together(tallies: Iterable[Tally]) -> Tally:
    """The counts of several cells as one."""
    whole = Tally()
    for each in tallies:
        for name in COUNTS:
            setattr(whole, name, getattr(whole, name) + getattr(each, name))
        whole.length = [a + b for a, b in zip(whole.length, each.length, strict=True)]
        whole.failures.update(each.failures)
        whole.spent = added([whole.spent, each.spent])
    return whole


def orders(views: Mapping[str, float]) -> list[tuple[float, float]]:
    """The grades of views that differ by nothing but the order: `… first` and `… second`."""
    names = [(name, f"{name.removesuffix('first')}second") for name in views]
    return [(views[a], views[b]) for a, b in names if a.endswith("first") and b in views]


def side(grade: float) -> int:
    """1 where the answer won, −1 where it lost, 0 of a tie."""
    return (grade > 0.5) - (grade < 0.5)
