"""Measures how often a fast gate is wrong and how much it asks, on recorded MMLU-Pro answers.

    EVALKIT_DATA=data python benchmarks/simulate_fast_gate.py [--replicates 2000]

The baseline is Llama-3.1-8B-Instruct as recorded; its history are Llama-3.1-8B and the two Mistral
models.  Candidates are made of the baseline: an item flips with the rate at which the recorded
pair of Llamas differ where the baseline and the Mistrals do what they do at that item, scaled so
that a given share of all items flips and that the mean falls by exactly what the design says.  Each
replicate draws its items anew from the recorded ones, since errors are about the population.
The plan, the looks and the boundaries are evalkit's own.  The seed is fixed: the table is the same
each time.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import Pool
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from evalkit.fast.caps import unit_caps
from evalkit.fast.looks import CellPlan, DomainPlan, Known, plan_domain
from evalkit.stats.clock import Clock
from evalkit.stats.power import variance_for
from evalkit.stats.sequential import look_count

FOLDER = Path(os.environ.get("EVALKIT_DATA") or "absent") / "model_outputs" / "mmlu_pro"
BASELINE = "Meta-Llama-3_1-8B-Instruct"
EARLIER = "Meta-Llama-3_1-8B"
OTHERS = ("Mistral-7B-v0.1", "Mistral-7B-Instruct-v0.1")
MARGIN = 0.02
PLANNED, AS_RECORDED = 0.20, 0.26
"""Share of items that flip: what planning assumes, and what the two Llamas differ by."""
SEED = 20_250_704

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """Who was right where: 0/1 for the baseline, and a row for each model of its history."""

    baseline: Floats
    history: Floats  # the earlier Llama first, then the Mistrals


@dataclass(frozen=True)
class Design:
    """One row of the table."""

    items: int
    loss: float  # how much worse the candidate truly is
    capped: bool
    strata: bool  # post-stratified on the baseline and its history
    discordance: float = PLANNED


@dataclass(frozen=True)
class Measured:
    """What came of a design's replicates."""

    passed: float
    regressed: float
    asked: float  # mean share of the items


def recorded() -> Recorded:
    """The four models on the questions that all of them were asked."""
    right = {model: _right(model) for model in (BASELINE, EARLIER, *OTHERS)}
    common = sorted(set.intersection(*(set(found) for found in right.values())))
    rows = {model: np.array([found[i] for i in common]) for model, found in right.items()}
    return Recorded(rows[BASELINE], np.array([rows[m] for m in (EARLIER, *OTHERS)]))


def _right(model: str) -> dict[str, float]:
    with ZipFile(FOLDER / f"model_outputs_{model}_5shots.zip") as zipped:
        name = next(n for n in zipped.namelist() if n.endswith(".json") and "__MACOSX" not in n)
        rows = json.loads(zipped.read(name))
    return {str(row["question_id"]): float(row["pred"] == row["answer"]) for row in rows}


def flip_rates(found: Recorded, loss: float, discordance: float) -> Floats:
    """P(flip) of every item: as often as the Llamas differ at such items, and -loss on average."""
    group = found.baseline * 3 + found.history[1:].sum(axis=0)
    changed = (found.history[0] != found.baseline).astype(float)
    rate = np.zeros(len(group))
    for label in np.unique(group):
        rate[group == label] = changed[group == label].mean()
    n, right = len(group), found.baseline == 1
    for side, share in ((right, (discordance + loss) / 2), (~right, (discordance - loss) / 2)):
        rate[side] *= share * n / rate[side].sum()
    if rate.max() > 1:
        raise SystemExit("this discordance and this loss are too much for the recorded items")
    return rate


def replicate(found: Recorded, rows: list[Design], seed: int) -> list[tuple[str, float]]:
    """A fast gate of each design over the same items: what it found, the share that it asked."""
    size = rows[0].items
    drawn = np.random.default_rng([SEED, size, seed]).integers(0, len(found.baseline), size)
    baseline, history = found.baseline[drawn], found.history[:, drawn]
    plans = {True: planned(baseline, history), False: unstratified(size)}
    outcomes = []
    for design in rows:
        rate = flip_rates(found, design.loss, design.discordance)[drawn]
        kind = [round(1e4 * design.loss), round(100 * design.discordance)]
        flipped = np.random.default_rng([SEED, size, seed, *kind]).random(size) < rate
        change = np.where(flipped, 1 - 2 * baseline, 0.0)
        outcomes.append(_gate(_fitted(plans[design.strata], design), change))
    return outcomes


def planned(baseline: Floats, history: Floats) -> CellPlan:
    """The strata of one task, and its items in an order: they are random, so any ids will do."""
    units = [[number.to_bytes(16, "big")] for number in range(len(baseline))]
    known = Known("mmlu-pro", 1.0, units, baseline, history, PLANNED)
    return plan_domain("knowledge", MARGIN, [known]).cells[0]


@cache
def unstratified(size: int) -> CellPlan:
    """The same where nothing is known of any item."""
    return planned(np.zeros(size), np.empty((0, size)))


def _fitted(cell: CellPlan, design: Design) -> DomainPlan:
    """A design's plan: its cap follows from the share of items expected to flip."""
    cap, enough = design.items, 0.0
    if design.capped:
        cap = unit_caps([design.items], [1.0], [design.discordance], MARGIN)[0]
        enough = variance_for(MARGIN)
    cell = replace(cell, cap=cap, flip=design.discordance)
    return DomainPlan("knowledge", MARGIN, look_count(design.items), (cell,), enough)


def _gate(plan: DomainPlan, change: Floats) -> tuple[str, float]:
    (cell,) = plan.cells
    ordered = change[[int.from_bytes(item, "big") for item in cell.items]][:, None]
    before = np.zeros_like(ordered)
    clock = Clock(plan.margin, domains=1, enough=plan.enough)
    for look in range(1, plan.looks + 1):
        asked = plan.asked(look)
        found = plan.look([(before[:asked], ordered[:asked])])
        taken = clock.take(found, last=look == plan.looks)
        if taken.found != "continue" or taken.last:
            break
    return taken.found, asked / plan.items


def measure(found: Recorded, rows: list[Design], seeds: Iterable[int], jobs: int) -> list[Measured]:
    """What came of the replicates of designs over equally many items."""
    one = partial(replicate, found, rows)
    if jobs == 1:
        outcomes = list(map(one, seeds))
    else:
        with Pool(jobs) as pool:
            outcomes = pool.map(one, seeds, chunksize=20)
    return [
        Measured(
            float(np.mean([verdict == "no_regression" for verdict, _ in row])),
            float(np.mean([verdict == "regressed" for verdict, _ in row])),
            float(np.mean([share for _, share in row])),
        )
        for row in zip(*outcomes, strict=True)
    ]


def designs() -> list[list[Design]]:
    """Small, middling and whole benchmarks; no change, the margin's loss, and a plain decline."""
    plain, whole = (False, False), (True, True)
    rows = [Design(12_032, 0.0, *p) for p in (plain, (False, True), (True, False), whole)]
    rows += [Design(12_032, loss, *p) for loss in (MARGIN, 0.05) for p in (plain, whole)]
    rows += [Design(12_032, loss, *whole, AS_RECORDED) for loss in (0.0, MARGIN, 0.05)]
    small = [
        [Design(n, loss, False, strata) for loss in (0.0, MARGIN) for strata in (False, True)]
        for n in (541, 2000)
    ]
    return [*small, rows]


def main() -> None:
    """Prints a row for every design, as a Markdown table."""
    parser = argparse.ArgumentParser(description="Error rates and cost of a fast gate.")
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    if not FOLDER.is_dir():
        raise SystemExit("set EVALKIT_DATA to the folder with model_outputs/mmlu_pro")
    found = recorded()
    print("| items | flips | true change | cap | strata | passed | regressed | items asked |")
    print("|---|---|---|---|---|---|---|---|")
    for rows in designs():
        measured = measure(found, rows, range(given.replicates), given.jobs)
        for design, it in zip(rows, measured, strict=True):
            print(
                f"| {design.items:,} | {design.discordance:.0%} | {round(-100 * design.loss)} "
                f"| {'yes' if design.capped else 'no'} | {'yes' if design.strata else 'no'} "
                f"| {it.passed:.1%} | {it.regressed:.1%} | {it.asked:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
