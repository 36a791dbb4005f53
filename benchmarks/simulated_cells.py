"""Cells of 0/1 scores drawn by their counts alone: what families and decisions are simulated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.cell import Estimate
from evalkit.stats.distributions import critical_value
from evalkit.stats.intervals import tango_ci
from evalkit.stats.pvalues import mcnemar_midp

DISCORDANT = 0.2  # share of items on which two checkpoints differ, measured on MMLU-Pro

DOMAINS: Mapping[str, tuple[int, ...]] = {
    "knowledge": (12_032, 198, 1_172),
    "math": (1_319, 500, 198),
    "code": (880, 164, 378),
    "instruction": (541, 500, 300),
    "tools": (2_000, 1_000, 800),
    "chat": (805, 500),
    "reasoning": (1_267, 1_838, 256),
}
"""Items of 20 cells in 7 domains, as large as the benchmarks in use."""


@dataclass(frozen=True)
class Drawn:
    """Replicates of one cell."""

    n: int
    lower: list[float]
    upper: list[float]
    delta: list[float]
    p_regressed: list[float]
    p_improved: list[float]

    def estimate(self, replicate: int) -> Estimate:
        """The estimate of one replicate."""
        lower, upper = self.lower[replicate], self.upper[replicate]
        return Estimate(
            delta=self.delta[replicate],
            lower=lower,
            upper=upper,
            se=(upper - lower) / (2 * critical_value(0.90)),
            p_regressed=self.p_regressed[replicate],
            p_improved=self.p_improved[replicate],
            n=self.n,
            method="tango",
        )


def draw(random: np.random.Generator, n: int, delta: float, replicates: int) -> Drawn:
    """A cell of n items whose score truly changes by delta."""
    moved = max(DISCORDANT, 1.2 * abs(delta))
    shares = [(moved + delta) / 2, (moved - delta) / 2, 1 - moved]
    gained, lost, _ = random.multinomial(n, shares, replicates).T
    lower, upper = tango_ci(gained, lost, n)
    columns: Sequence[np.ndarray] = (
        lower,
        upper,
        (gained - lost) / n,
        mcnemar_midp(gained, lost),
        mcnemar_midp(lost, gained),
    )
    return Drawn(n, *(column.tolist() for column in columns))


def draw_all(
    random: np.random.Generator, changes: Mapping[str, Sequence[float]], replicates: int
) -> dict[str, list[Drawn]]:
    """Every domain's cells; the domains that `changes` leaves out do not change."""
    return {
        domain: [
            draw(random, n, delta, replicates)
            for n, delta in zip(sizes, changes.get(domain, [0.0] * len(sizes)), strict=True)
        ]
        for domain, sizes in DOMAINS.items()
    }
