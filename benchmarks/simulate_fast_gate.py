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
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from evalkit.looks import DomainPlan, Known, plan_domain
from evalkit.stats.clock import Clock

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


def replicate(found: Recorded, rate: Floats, design: Design, seed: int) -> tuple[str, float]:
    """One fast gate: what it found, and the share of the items it asked."""
    random = np.random.default_rng([SEED, design.items, round(1e4 * design.loss), seed])
    drawn = random.integers(0, len(rate), design.items)
    baseline = found.baseline[drawn]
    flipped = random.random(design.items) < rate[drawn]
    change = np.where(flipped, 1 - 2 * baseline, 0.0)
    plan = planned(design, baseline, found.history[:, drawn])
    cell = plan.cells[0]
    place = np.array([int.from_bytes(item, "big") for item in cell.items])
    return _gate(plan, change[place])


def planned(design: Design, baseline: Floats, history: Floats) -> DomainPlan:
    """The plan of a domain of one task; items are random, so any order of ids shuffles them."""
    items = [number.to_bytes(16, "big") for number in range(design.items)]
    if not design.strata:  # one stratum: nothing is known of any item
        baseline, history = np.zeros(design.items), np.empty((0, design.items))
    known = Known("mmlu-pro", 1.0, items, baseline, history, design.discordance)
    return plan_domain("knowledge", MARGIN, [known], capped=design.capped)


def _gate(plan: DomainPlan, change: Floats) -> tuple[str, float]:
    clock = Clock(plan.margin, domains=1)
    for look in range(1, plan.looks + 1):
        asked = plan.asked(look)
        taken = clock.take(plan.look({"mmlu-pro": change[:asked]}), last=look == plan.looks)
        if taken.found != "continue":
            break
    return taken.found, asked / plan.items


def measure(found: Recorded, design: Design, replicates: int) -> Measured:
    """The replicates of one design."""
    rate = flip_rates(found, design.loss, design.discordance)
    outcomes = [replicate(found, rate, design, seed) for seed in range(replicates)]
    return Measured(
        float(np.mean([verdict == "no_regression" for verdict, _ in outcomes])),
        float(np.mean([verdict == "regressed" for verdict, _ in outcomes])),
        float(np.mean([share for _, share in outcomes])),
    )


def designs() -> list[Design]:
    """Small, middling and whole benchmarks; no change, the margin's loss, and a plain decline."""
    plain, whole = (False, False), (True, True)
    every = (plain, (False, True), (True, False), whole)
    rows = [Design(12_032, 0.0, *plan) for plan in every]
    rows += [Design(12_032, loss, *plan) for loss in (MARGIN, 0.05) for plan in (plain, whole)]
    rows += [
        Design(12_032, loss, *plan, AS_RECORDED)
        for loss in (0.0, MARGIN, 0.05)
        for plan in (plain, whole)
    ]
    rows += [
        Design(items, loss, False, strata)
        for items in (541, 2000)
        for loss in (0.0, MARGIN)
        for strata in (False, True)
    ]
    return rows


def main() -> None:
    """Prints a row for every design, as a Markdown table."""
    parser = argparse.ArgumentParser(description="Error rates and cost of a fast gate.")
    parser.add_argument("--replicates", type=int, default=2000)
    replicates = parser.parse_args().replicates
    if not FOLDER.is_dir():
        raise SystemExit("set EVALKIT_DATA to the folder with model_outputs/mmlu_pro")
    found = recorded()
    print("| items | flips | true change | cap | strata | passed | regressed | items asked |")
    print("|---|---|---|---|---|---|---|---|")
    for design in designs():
        it = measure(found, design, replicates)
        print(
            f"| {design.items:,} | {design.discordance:.0%} "
            f"| {round(-100 * design.loss)} | {'yes' if design.capped else 'no'} "
            f"| {'yes' if design.strata else 'no'} | {it.passed:.1%} | {it.regressed:.1%} "
            f"| {it.asked:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
