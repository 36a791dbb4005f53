"""Measures the errors of a fast gate over clusters, weighted strata, several samples, fixed items.

    python -m benchmarks.simulate_fast_designs [--replicates 1000]

One domain with one task of simulated items; plan, looks and boundaries are evalkit's own.  Items
have U-shaped chances of a right answer, which the candidate keeps or draws anew, a cluster's as a
whole, and its decline is the margin, or nothing.  Of fixed items only the answers are drawn anew
from replicate to replicate; of all others the items are too.  The seeds are fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evalkit.fast.looks import Known, plan_domain
from evalkit.stats.clock import Clock
from evalkit.stats.sequential import DISCORDANCE_PRIOR

Floats = NDArray[np.float64]

SEED = 20_250_704
BASE, KEPT = 0.6, 0.6


@dataclass(frozen=True)
class Design:
    """The sizes of the clusters of each stratum, the strata's weights, and how items are asked."""

    name: str
    strata: list[NDArray[np.intp]]
    margin: float
    weights: list[float] = field(default_factory=lambda: [1.0])
    samples: int = 1
    fixed: bool = False


def designs() -> list[Design]:
    """The designs of the table."""
    random = np.random.default_rng(SEED)
    ones = np.ones
    return [
        Design("400 passages × 5", [np.full(400, 5)], 0.05),
        Design("400 passages, 1 to 8", [random.integers(1, 9, 400)], 0.05),
        Design("80 questions × 2 turns", [np.full(80, 2)], 0.12),
        Design(
            "4 strata alike, 550 + 3 × 200",
            [ones(550, int), *(ones(200, int) for _ in range(3))],
            0.05,
            [0.25] * 4,
        ),
        Design(
            "2 strata, nine tenths of the weight on 150 of 1,150 items",
            [ones(150, int), ones(1_000, int)],
            0.10,
            [0.9, 0.1],
        ),
        Design("500 items × 4 samples", [ones(500, int)], 0.04, samples=4),
        Design("500 items × 4 samples, fixed", [ones(500, int)], 0.03, samples=4, fixed=True),
    ]


def chances(random: np.random.Generator, units: int, loss: float) -> tuple[Floats, Floats]:
    """P(right) of each unit for the baseline and for the candidate, whose mean is lower by loss."""
    skill = random.beta(BASE, 1 - BASE, units)
    redrawn = random.beta(BASE, 1 - BASE, units)
    after = np.where(random.random(units) < KEPT, skill, redrawn)
    return skill, after * (1 - loss / BASE)


def gate(design: Design, random: np.random.Generator, truth: list[tuple[Floats, Floats]]) -> str:
    """What one fast gate finds."""
    known, arms = [], []
    for sizes, weight, both in zip(design.strata, design.weights, truth, strict=True):
        answers = [
            (random.random((sizes.sum(), design.samples)) < np.repeat(chance, sizes)[:, None])
            for chance in both
        ]
        ids = iter(range(sizes.sum()))
        units = [[next(ids).to_bytes(16, "big") for _ in range(size)] for size in sizes]
        labels = np.repeat(np.arange(len(sizes)), sizes)
        baseline = np.bincount(labels, answers[0].mean(axis=1)) / sizes
        history = np.empty((0, len(sizes)))
        known.append(Known("t", weight, units, baseline, history, DISCORDANCE_PRIOR, design.fixed))
        arms.append([answer.astype(float) for answer in answers])
    plan = plan_domain("d", design.margin, known, seed=int(random.integers(2**31)), capped=False)
    rows = [(cell, [int.from_bytes(item, "big") for item in cell.items]) for cell in plan.cells]
    clock = Clock(plan.margin, domains=1, enough=plan.enough)
    for look in range(1, plan.looks + 1):
        asked = [order[: cell.asked(look, plan.looks)] for cell, order in rows]
        seen = [(a[own], b[own]) for own, (a, b) in zip(asked, arms, strict=True)]
        taken = clock.take(plan.look(seen), last=look == plan.looks)
        if taken.found != "continue" or taken.last:
            break
    return taken.found


def fixed_truth(design: Design, loss: float) -> Callable[[], list[tuple[Floats, Floats]]]:
    """The same items every time, whose mean difference is exactly −loss."""
    random = np.random.default_rng(SEED)
    truth = []
    for sizes in design.strata:
        before, after = chances(random, len(sizes), 0.0)
        after = after * (before.mean() - loss) / after.mean()
        truth.append((before, np.minimum(after, 1.0)))
    return lambda: truth


def rates(design: Design, replicates: int) -> tuple[float, float, float]:
    """False pass at the margin; false regressed and pass where nothing changed."""
    random = np.random.default_rng([SEED, len(design.name)])

    def found(loss: float) -> list[str]:
        drawn = fixed_truth(design, loss)
        said = []
        for _ in range(replicates):
            truth = (
                drawn()
                if design.fixed
                else [chances(random, len(sizes), loss) for sizes in design.strata]
            )
            said.append(gate(design, random, truth))
        return said

    worse, same = found(design.margin), found(0.0)
    return (
        worse.count("no_regression") / replicates,
        same.count("regressed") / replicates,
        same.count("no_regression") / replicates,
    )


def main() -> None:
    """Prints a row for each design, as a Markdown table."""
    parser = argparse.ArgumentParser(description="Error rates of a fast gate by design.")
    parser.add_argument("--replicates", type=int, default=1_000)
    replicates = parser.parse_args().replicates
    print("| design | margin | false pass | false regressed | passed, unchanged |")
    print("|---|---|---|---|---|")
    for design in designs():
        wrong, alarm, passed = rates(design, replicates)
        print(
            f"| {design.name} | {100 * design.margin:g} | {wrong:.1%} | {alarm:.1%} "
            f"| {passed:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
