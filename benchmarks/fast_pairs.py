"""Puts recorded pairs of real models through the looks of a fast gate, in many orders.

    EVALKIT_DATA=FOLDER python -m benchmarks.fast_pairs [--orders 200]

Plan, looks and boundaries are evalkit's own, of one domain with one task; the items are the
recorded ones, and what varies is the seed of their order.  Strata are made of the baseline and,
where there are three or more, of the other recorded models.  The seeds are 0, 1, 2, …: the table is
the same each time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import recordings
from benchmarks.real_pairs import LLAMA, MISTRAL
from benchmarks.recordings import Recorded
from evalkit.comparison.arm import item_means
from evalkit.fast.looks import DomainPlan, Known, plan_domain
from evalkit.stats.clock import Clock
from evalkit.stats.sequential import DISCORDANCE_PRIOR

Floats = NDArray[np.float64]

ALPACA = ("phi-2", "phi-2-sft", "oasst-sft-llama-33b", "oasst-rlhf-llama-33b", "claude-2.1",
          "claude-2.1_concise", "vicuna-7b", "gemma-7b-it")  # fmt: skip
BFCL = (
    "meta-llama_Meta-Llama-3-8B-Instruct",
    "NousResearch_Hermes-2-Pro-Llama-3-8B",
    "gpt-4-0613",
    "gpt-4-0613-FC",
)
MT_BENCH = ("mistral-orpo-capybara", "mistral-orpo-trl", "mistral-orpo-mix")
LIVECODEBENCH = ("LLama3-8b-Ins", "LLama3-70b-Ins", "DSCoder-6.7b-Ins", "OC-DS-6.7B",
                 "DSCoder-33b-Ins", "OC-DS-33B", "Claude-2", "Claude-3-Sonnet")  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One stratum that counts by its weight, or all of a benchmark: its units and their scores."""

    weight: float
    units: list[list[bytes]]
    scores: Floats  # of each item: the baseline, the candidate, then every other model; oriented


@dataclass(frozen=True)
class FastPair:
    """A baseline and a candidate on the items that both have, with a margin fixed beforehand."""

    benchmark: str
    names: tuple[str, str]
    margin: float
    parts: list[Part]


def pairs(home: Path, work: Path) -> Iterator[FastPair]:
    """The pairs; those of MMLU-Pro in both directions."""
    for family, models in (("mistral", MISTRAL), ("llama", LLAMA)):
        found = recordings.mmlu_pro(home, work / family, models)["two stages"]
        yield _pair("MMLU-Pro", models, 0.02, found)
        yield _pair("MMLU-Pro", models[::-1], 0.02, found)
    yield from others(home)


def others(home: Path) -> Iterator[FastPair]:
    """The pairs of the smaller benchmarks."""
    alpaca = {model: recordings.alpaca_eval(home, model) for model in ALPACA}
    for first in range(0, 6, 2):
        yield _pair("AlpacaEval 2", ALPACA[first : first + 2], 0.035, alpaca)
    tools = {model: recordings.bfcl_ast(home, model) for model in BFCL}
    for first in range(0, 4, 2):
        yield _pair("BFCL V1 AST", BFCL[first : first + 2], 0.04, tools)
    code = {model: recordings.livecodebench(home, model) for model in LIVECODEBENCH}
    for first in range(0, 8, 2):
        yield _pair("LiveCodeBench", LIVECODEBENCH[first : first + 2], 0.05, code)
    grades = {model: recordings.mt_bench(home, model) for model in MT_BENCH}
    for names in (MT_BENCH[:2], MT_BENCH[1:]):
        yield _pair("MT-Bench", names, 0.5 / 9, grades)


def _pair(
    benchmark: str, names: Sequence[str], margin: float, found: Mapping[str, Recorded]
) -> FastPair:
    baseline, candidate = found[names[0]], found[names[1]]
    models = [baseline, candidate, *(found[name] for name in found if name not in names)]
    items = [item for item in baseline.scores if item in candidate.scores]
    strata: dict[str, list[str]] = {}
    for item in items:
        name = baseline.strata[item] if baseline.weights else ""
        strata.setdefault(name, []).append(item)
    parts = [_part(own, models, baseline.weights.get(name, 1.0)) for name, own in strata.items()]
    return FastPair(benchmark, (names[0], names[1]), margin, parts)


def _part(items: Sequence[str], models: Sequence[Recorded], weight: float) -> Part:
    low, high = models[0].bounds
    rows = [[model.scores.get(item, np.nan) for item in items] for model in models]
    groups: dict[str, list[bytes]] = {}
    for place, item in enumerate(items):
        group = models[0].clusters.get(item) or f"alone {place}"
        groups.setdefault(group, []).append(place.to_bytes(16, "big"))
    return Part(weight, list(groups.values()), (np.array(rows) - low) / (high - low))


def planned(pair: FastPair, seed: int) -> DomainPlan:
    """The plan of a pair with one seed."""
    return plan_domain("d", pair.margin, [_known(part) for part in pair.parts], seed=seed)


def _known(part: Part) -> Known:
    places = [_places(unit) for unit in part.units]
    known = np.delete(part.scores, 1, axis=0)  # all but the candidate
    means = np.array([item_means(known[:, own]) for own in places]).T
    return Known("t", part.weight, part.units, means[0], means[1:], DISCORDANCE_PRIOR)


def _places(items: Sequence[bytes]) -> list[int]:
    return [int.from_bytes(item, "big") for item in items]


def looked(pair: FastPair, plan: DomainPlan) -> tuple[str, float]:
    """What a fast gate found, and the share of the items that it asked."""
    arms = [
        tuple(row[_places(cell.items)][:, None] for row in part.scores[:2])
        for cell, part in zip(plan.cells, pair.parts, strict=True)
    ]
    clock = Clock(plan.margin, domains=1, enough=plan.enough)
    for look in range(1, plan.looks + 1):
        asked = [cell.asked(look, plan.looks) for cell in plan.cells]
        seen = [(a[:n], b[:n]) for (a, b), n in zip(arms, asked, strict=True)]
        taken = clock.take(plan.look(seen), last=look == plan.looks)
        if taken.found != "continue" or taken.last:
            break
    return taken.found, sum(asked) / plan.items


def main() -> None:
    """Prints a row for each pair, as a Markdown table."""
    parser = argparse.ArgumentParser(description="Recorded pairs through a fast gate.")
    parser.add_argument("--orders", type=int, default=200)
    orders = parser.parse_args().orders
    home = os.environ.get("EVALKIT_DATA")
    if not home:
        raise SystemExit("EVALKIT_DATA: name the folder that holds model_outputs/")
    print("| pair | n | units | all items: Δ | margin | passed | regressed | undecided | asked |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        for pair in pairs(Path(home), Path(work)):
            print(
                _row(pair, [looked(pair, planned(pair, seed)) for seed in range(orders)]),
                flush=True,
            )


def _row(pair: FastPair, found: Sequence[tuple[str, float]]) -> str:
    weights = np.array([part.weight for part in pair.parts])
    changes = [float(np.nanmean(part.scores[1] - part.scores[0])) for part in pair.parts]
    items = sum(part.scores.shape[1] for part in pair.parts)
    units = sum(len(part.units) for part in pair.parts)
    said = Counter(verdict for verdict, _ in found)
    shares = [said[name] / len(found) for name in ("no_regression", "regressed", "continue")]
    return (
        f"| {pair.benchmark}: {pair.names[0]} → {pair.names[1]} | {items:,} | {units:,} "
        f"| {100 * float(weights @ changes / weights.sum()):+.1f} | {100 * pair.margin:.1f} "
        f"| {shares[0]:.0%} | {shares[1]:.0%} | {shares[2]:.0%} "
        f"| {np.mean([share for _, share in found]):.0%} |"
    )


if __name__ == "__main__":
    main()
