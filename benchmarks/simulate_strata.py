"""Measures the errors of the stratified interval: a benchmark's categories with its own weights.

    python -m benchmarks.simulate_strata [--replicates 5000]

Every category has its own base score and its own loss; the weighted mean of the losses is the
margin (false pass) or 0 (false regressed, coverage).  The seed is fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np

from benchmarks.simulate_errors import differences
from evalkit.stats.cell import Differences, Estimate
from evalkit.stats.designs import stratified
from evalkit.stats.estimate import estimates

SEED = 20_250_704
ALPHA = 0.05
MARGIN = 0.05
BASES = (0.3, 0.5, 0.7)
SPREAD = 0.04  # the losses of the categories differ by as much to either side

DESIGNS: Mapping[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "14 equal weights, 60 items each": ((60,) * 14, (1 / 14,) * 14),
    "5 equal weights, 25 to 400 items": ((25, 50, 100, 200, 400), (0.2,) * 5),
    "4 equal weights, 550 + 3 × 200 items": ((550, 200, 200, 200), (0.25,) * 4),
    "2, a tenth of the weight on 30 items": ((30, 300), (0.1, 0.9)),
    "2, nine tenths on 30 items": ((30, 300), (0.9, 0.1)),
}


def drawn(
    sizes: tuple[int, ...], weights: tuple[float, ...], base: float, decline: float, count: int
) -> list[Estimate]:
    """The stratified estimates of many replicates that truly declined so much."""
    random = np.random.default_rng([SEED, *sizes, round(100 * base), round(1000 * decline)])
    signs = np.resize([1.0, -1.0], len(sizes))
    tilt = signs - np.dot(weights, signs)  # the weighted mean loss stays as it is
    tilt *= SPREAD / np.abs(tilt).max() if decline else 0.0
    columns = [
        differences(random, (count, n), 1, base, decline + own)
        for n, own in zip(sizes, tilt, strict=True)
    ]
    cells = [[Differences(column[i], True) for column in columns] for i in range(count)]
    flat = estimates([cell for row in cells for cell in row])
    strata = len(sizes)
    return [stratified(flat[i * strata : (i + 1) * strata], weights) for i in range(count)]


def rates(
    sizes: tuple[int, ...], weights: tuple[float, ...], base: float, count: int
) -> tuple[float, float, float]:
    """False pass, false regressed, coverage."""
    worse = drawn(sizes, weights, base, MARGIN, count)
    same = drawn(sizes, weights, base, 0.0, count)
    return (
        float(np.mean([each.lower > -MARGIN for each in worse])),
        float(np.mean([each.upper < 0 and each.p_regressed <= ALPHA for each in same])),
        float(np.mean([each.lower <= 0 <= each.upper for each in same])),
    )


def main() -> None:
    """Prints the worst over base scores of every design, as a Markdown table."""
    parser = argparse.ArgumentParser(description="Error rates of the stratified interval.")
    parser.add_argument("--replicates", type=int, default=5_000)
    replicates = parser.parse_args().replicates
    print("| strata | false pass | false regressed | coverage |")
    print("|---|---|---|---|")
    for name, (sizes, weights) in DESIGNS.items():
        found = np.array([rates(sizes, weights, base, replicates) for base in BASES])
        print(
            f"| {name} | {found[:, 0].max():.1%} | {found[:, 1].max():.1%} "
            f"| {found[:, 2].min():.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
