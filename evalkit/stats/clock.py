"""One domain's clock: its looks in order, each against a boundary on the domain's own time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.stats.boundaries import Boundary
from evalkit.stats.sequential import Look, decide_look

ALPHA = 0.05

Found = Literal["no_regression", "regressed", "continue"]


@dataclass(frozen=True, slots=True)
class Taken:
    """A look that was taken, what it was held against, and what it found."""

    look: Look
    information: float
    pass_statistic: float  # T(−m)
    pass_bound: float  # c_k(α)
    fail_statistic: float  # −T(0)
    fail_bound: float  # c_k(α/D)
    found: Found
    last: bool  # whether it was the last: at the cap, or all the information planned for is in

    @property
    def limits(self) -> tuple[float, float]:
        """δ ± c_k(α)·√Var: valid at every look at once (Jennison & Turnbull 1989, JRSS-B 51:305).

        At an early look the boundary is so far out that the scale's ends are all that is known.
        """
        reach = self.pass_bound * self.look.variance**0.5
        return max(-1.0, self.look.delta - reach), min(1.0, self.look.delta + reach)


def domain_look(cells: Sequence[Look], weights: Sequence[float]) -> Look:
    """The look at a weighted mean of independent cells: Σwδ, with variances Σw²Var."""
    whole = sum(weights)
    shares = [weight / whole for weight in weights]
    pairs = list(zip(shares, cells, strict=True))
    return Look(
        sum(w * cell.delta for w, cell in pairs),
        sum(w**2 * cell.variance for w, cell in pairs),
        sum(w**2 * cell.final_variance for w, cell in pairs),
    )


class Clock:
    """The looks at one of D domains: Pass at T(−m) ≥ c_k(α), Regressed at −T(0) ≥ c_k(α/D).

    `enough` is the variance at which all the information that was planned for is in: where it is
    reached before the cap, the look is the last (Mehta & Tsiatis 2001, Drug Inf. J. 35:1095).
    """

    def __init__(
        self, margin: float, domains: int, alpha: float = ALPHA, *, enough: float = 0.0
    ) -> None:
        self.margin = margin
        self.enough = enough
        self._passing = Boundary(alpha)
        self._failing = Boundary(alpha / domains)
        self._time = 0.0

    def take(
        self, look: Look, worst: Look | None = None, best: Look | None = None, *, last: bool
    ) -> Taken:
        """Takes the next look.

        Where samples are missing, a pass must also hold under the `worst` way to fill them in,
        and a regression under the `best`.
        """
        # What is known now says how fast the clock ran; it never runs backwards.
        arrived = max(look.final_variance, self.enough) / look.variance
        last = last or arrived >= 1.0
        self._time = 1.0 if last else max(self._time, arrived)
        pass_bound, fail_bound = self._passing.at(self._time), self._failing.at(self._time)

        def found(at: Look) -> Found:
            return decide_look(at, self.margin, pass_bound, fail_bound, last=last)

        decided = found(look)
        against = {"no_regression": worst, "regressed": best}.get(decided)
        if against is not None and found(against) != decided:
            decided = "continue"
        return Taken(
            look,
            self._time,
            look.statistic(-self.margin),
            pass_bound,
            -look.statistic(0.0),
            fail_bound,
            decided,
            last,
        )
