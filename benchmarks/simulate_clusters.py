"""Measures the errors of the interval and test for clustered items, on simulated passages.

    python -m benchmarks.simulate_clusters [--replicates 2000]

All items of a passage are as hard as each other, and the candidate treats a passage alike: it
keeps the baseline's chances or draws anew for the whole of it.  A passage is read once, so the
items answered stand for fewer independent ones; beside evalkit's rates is what pretending that
they do not would give.  The seed is fixed.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.cell import Differences, Estimate
from evalkit.stats.estimate import estimates

SEED = 20_250_704
ALPHA = 0.05
BASES = (0.1, 0.3, 0.5, 0.7)
MARGIN = 0.05


def designs() -> dict[str, NDArray[np.intp]]:
    """The cluster sizes of each design."""
    random = np.random.default_rng(SEED)
    return {
        "80 questions × 2 turns": np.full(80, 2),
        "30 passages × 10": np.full(30, 10),
        "200 unequal, 1 to 8": random.integers(1, 9, 200),
        "60 unequal, 1 to 20": random.integers(1, 21, 60),
        "20 unequal, 1 to 20": random.integers(1, 21, 20),
        "40, one of them a quarter of all": np.array([65] + [5] * 39),
        "60 items, one asked twice": np.array([2] + [1] * 58),
        "541 items, three asked twice": np.array([2] * 3 + [1] * 535),
    }


def drawn(
    random: np.random.Generator, sizes: NDArray[np.intp], base: float, decline: float
) -> NDArray[np.float64]:
    """Item differences of one replicate; their expectation is −decline."""
    passages = len(sizes)
    skill = random.beta(base, 1 - base, passages)
    redrawn = np.where(random.random(passages) < 0.5, random.beta(base, 1 - base, passages), skill)
    before = random.random(sizes.sum()) < np.repeat(skill, sizes)
    after = random.random(sizes.sum()) < np.repeat(redrawn * (1 - decline / base), sizes)
    return np.asarray(after.astype(float) - before)


def rates(
    sizes: NDArray[np.intp], base: float, replicates: int
) -> tuple[float, float, float, float]:
    """False pass, the same with items as independent, false regressed, coverage of 90 %."""
    random = np.random.default_rng([SEED, len(sizes), round(100 * base)])
    labels = np.repeat(np.arange(len(sizes)), sizes)

    def found(decline: float) -> tuple[list[Estimate], list[Estimate]]:
        draws = [drawn(random, sizes, base, decline) for _ in range(replicates)]
        clustered = estimates([Differences(d, True, labels, 1) for d in draws])
        return clustered, estimates([Differences(d, True) for d in draws])

    worse, pretending = found(MARGIN)
    same, _ = found(0.0)
    return (
        float(np.mean([each.lower > -MARGIN for each in worse])),
        float(np.mean([each.lower > -MARGIN for each in pretending])),
        float(np.mean([each.upper < 0 and each.p_regressed <= ALPHA for each in same])),
        float(np.mean([each.lower <= 0 <= each.upper for each in same])),
    )


def main() -> None:
    """Prints the worst over base scores of every design, as a Markdown table."""
    parser = argparse.ArgumentParser(description="Error rates where items come in clusters.")
    parser.add_argument("--replicates", type=int, default=2_000)
    replicates = parser.parse_args().replicates
    print("| clusters | false pass | items as independent | false regressed | coverage |")
    print("|---|---|---|---|---|")
    for name, sizes in designs().items():
        found = np.array([rates(sizes, base, replicates) for base in BASES])
        false_pass, pretending, false_regressed, _ = found.max(axis=0)
        print(
            f"| {name} | {false_pass:.1%} | {pretending:.1%} | {false_regressed:.1%} "
            f"| {found[:, 3].min():.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
