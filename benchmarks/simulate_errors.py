"""Measures how often the intervals and tests of evalkit are wrong, on simulated models.

    python benchmarks/simulate_errors.py [--replicates 10000]

An item's chance of a right answer is drawn from a U-shaped beta distribution; half of the items
keep theirs in the candidate, the others draw anew, and a decline scales all of them down.  Each
model answers every item k times.  The seed is fixed: the table is the same each time.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.distributions import t_quantile
from evalkit.stats.estimate import estimate
from evalkit.stats.intervals import quasi_tango_limits, tango_ci

ITEMS = (30, 198, 541)
SAMPLES = (1, 4, 16)
BASES = (0.1, 0.3, 0.5, 0.7, 0.9)
MARGIN = 0.05
ALPHA = 0.05
SEED = 20_250_704


@dataclass(frozen=True)
class Errors:
    """Shares of runs that went wrong, nominally at most 5 % each."""

    false_pass: float  # true loss equal to the margin, and yet L > -margin
    false_pass_t: float  # the same by the textbook paired t interval
    false_regressed: float  # no true loss, and yet U < 0 and p <= alpha
    coverage: float  # of the two-sided 90 % interval, no true loss


def differences(
    random: np.random.Generator, shape: tuple[int, int], k: int, base: float, decline: float
) -> NDArray[np.float64]:
    """Item differences of many replicates; their expectation is -decline."""
    skill = random.beta(base, 1 - base, shape)
    redrawn = np.where(random.random(shape) < 0.5, random.beta(base, 1 - base, shape), skill)
    before = random.binomial(k, skill)
    after = random.binomial(k, redrawn * (1 - decline / base))
    return np.asarray((after - before) / k)


def limits(d: NDArray[np.float64], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The 90 % limits of every replicate, as evalkit chooses them."""
    n = d.shape[1]
    gained, lost = np.maximum(d, 0).sum(axis=1), np.maximum(-d, 0).sum(axis=1)
    if k == 1:
        return tango_ci(gained, lost, n)
    moved = np.abs(d).sum(axis=1)
    phi = np.where(moved > 0, np.square(d).sum(axis=1) / np.maximum(moved, 1e-12), 1.0)
    return quasi_tango_limits(gained, lost, phi, n)


def regressed(d: NDArray[np.float64], upper: NDArray[np.float64], k: int) -> float:
    """The share of replicates that a family of one cell calls regressed."""
    below = np.flatnonzero(upper < 0)
    p = [estimate(d[i], binary=k == 1, lattice=k).p_regressed for i in below]
    return float(np.count_nonzero(np.array(p) <= ALPHA)) / len(d)


def measure(n: int, k: int, base: float, replicates: int) -> Errors:
    """The error rates of one design."""
    random = np.random.default_rng([SEED, n, k, round(100 * base)])
    same = differences(random, (replicates, n), k, base, 0.0)
    lower, upper = limits(same, k)
    worse = differences(random, (replicates, n), k, base, MARGIN)
    reach = float(t_quantile(1 - ALPHA, n - 1)) / math.sqrt(n)
    return Errors(
        false_pass=float(np.mean(limits(worse, k)[0] > -MARGIN)),
        false_pass_t=float(np.mean(worse.mean(1) - reach * worse.std(1, ddof=1) > -MARGIN)),
        false_regressed=regressed(same, upper, k),
        coverage=float(np.mean((lower <= 0) & (upper >= 0))),
    )


def main() -> None:
    """Prints the worst of all base scores for every n and k, as a Markdown table."""
    parser = argparse.ArgumentParser(description="Error rates of evalkit's intervals and tests.")
    parser.add_argument("--replicates", type=int, default=10_000)
    replicates = parser.parse_args().replicates
    print("| n | k | interval | false pass | paired t instead | false regressed | coverage |")
    print("|---|---|---|---|---|---|---|")
    for n in ITEMS:
        for k in SAMPLES:
            found = {base: measure(n, k, base, replicates) for base in BASES}
            worst = max(found, key=lambda base: found[base].false_pass)
            print(
                f"| {n} | {k} | {'Tango' if k == 1 else 'quasi-Tango'} "
                f"| {found[worst].false_pass:.1%} (base {worst}) "
                f"| {max(each.false_pass_t for each in found.values()):.1%} "
                f"| {max(each.false_regressed for each in found.values()):.1%} "
                f"| {min(each.coverage for each in found.values()):.1%} |"
            )


if __name__ == "__main__":
    main()
