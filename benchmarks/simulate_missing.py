"""Measures what missing samples do to a pass and to an alarm, by evalkit's rule and without it.

    python -m benchmarks.simulate_missing [--replicates 2000]

Of 500 items up to 1 % of the candidate's answers never came.  Which ones is not chance: the worst
case is that those it would have got wrong are missing (a pass is too easy) or those it would have
got right (an alarm is).  The rule: a pass must hold with every one of them counted against the
candidate, a regression with every one counted in its favour.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from evalkit.comparison.arm import Arm
from evalkit.comparison.paired import Pair, Variant, differences
from evalkit.stats.decision import Decision, decide_cell, within_missing_bounds
from evalkit.stats.estimate import estimates

SEED = 20_250_704
ITEMS, BASE, MARGIN = 500, 0.6, 0.05
LOST = ("at random", "its wrong answers", "its right answers")


def arm(values: NDArray[np.float64]) -> Arm:
    """One 0/1 score per item, NaN where it is missing."""
    items = np.arange(len(values), dtype=">u8").view("S8").astype("S16")
    ends = np.zeros((len(values), 1), dtype=np.intp)
    return Arm(items, values[:, None], ends, ("any",), None, (0.0, 1.0, True))


def pairs(lost: str, missing: int, decline: float, replicates: int) -> Iterator[Pair]:
    """Replicates whose candidate truly declined so much and then lost so many samples."""
    random = np.random.default_rng([SEED, LOST.index(lost), missing, round(1000 * decline)])
    for _ in range(replicates):
        skill = random.beta(BASE, 1 - BASE, ITEMS)
        redrawn = np.where(random.random(ITEMS) < 0.5, random.beta(BASE, 1 - BASE, ITEMS), skill)
        before = (random.random(ITEMS) < skill).astype(float)
        after = (random.random(ITEMS) < redrawn * (1 - decline / BASE)).astype(float)
        wanted = {LOST[0]: after >= 0, LOST[1]: after == 0, LOST[2]: after == 1}[lost]
        after[random.permutation(np.flatnonzero(wanted))[:missing]] = np.nan
        yield Pair(arm(before), arm(after))


def decisions(pair: Pair) -> tuple[Decision, Decision]:
    """By the rule, and with the missing samples merely left out."""
    variants = get_args(Variant) if pair.has_missing else ("plain",)
    found = estimates([differences(pair, variant) for variant in variants])
    each = [decide_cell(e, MARGIN, e.p_regressed, e.p_improved) for e in found]
    return (within_missing_bounds(*each) if pair.has_missing else each[0]), each[0]


def main() -> None:
    """Prints one row for each kind of loss, as a Markdown table."""
    parser = argparse.ArgumentParser(description="What missing samples do to verdicts.")
    parser.add_argument("--replicates", type=int, default=2_000)
    replicates = parser.parse_args().replicates
    print(
        "| missing | which | false pass | left out instead | false regressed | left out instead |"
    )
    print("|---|---|---|---|---|---|")
    for missing in (0, 2, 5):
        for lost in LOST if missing else LOST[:1]:
            at_margin = [decisions(p) for p in pairs(lost, missing, MARGIN, replicates)]
            same = [decisions(p) for p in pairs(lost, missing, 0.0, replicates)]
            passing = [
                np.mean([d[i].verdict in ("improved", "no_regression") for d in at_margin])
                for i in (0, 1)
            ]
            alarm = [np.mean([d[i].verdict == "regressed" for d in same]) for i in (0, 1)]
            print(
                f"| {missing} of {ITEMS} | {lost if missing else ''} | {passing[0]:.1%} "
                f"| {passing[1]:.1%} | {alarm[0]:.1%} | {alarm[1]:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
