"""Judges pairs of real models by results that others recorded, beside an unpaired z-test.

    EVALKIT_DATA=FOLDER python -m benchmarks.real_pairs

Every pair goes through the store and `evalkit compare`'s own functions, with a margin fixed
beforehand.  The last column is what lm-evaluation-harness' `scripts/model_comparator.py` makes of
the same scores: Z = (a − b)/√(SE_a² + SE_b²), two-sided p, as if the items were not the same.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import recordings
from benchmarks.cells import seal
from benchmarks.recordings import AST, Recorded
from evalkit.comparison.policy import Policy
from evalkit.reporting.report import of_store
from evalkit.stats.distributions import normal_cdf
from evalkit.storage.store import Store
from evalkit.verdict import CandidateVerdict, CellVerdict, DomainVerdict

MISTRAL = ("Mistral-7B-v0.1", "Mistral-7B-Instruct-v0.1")
LLAMA = ("Meta-Llama-3_1-8B", "Meta-Llama-3_1-8B-Instruct")
JUDGE_POINTS = 9.0  # grades run from 1 to 10
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class RealPair:
    """Two models' recorded results of one benchmark."""

    benchmark: str
    names: tuple[str, str]
    margin: float
    tasks: Mapping[str, tuple[Recorded, Recorded]] = field(default_factory=dict)


def pairs(home: Path, work: Path) -> Iterator[RealPair]:
    """The pairs: changes that post-training made, or that one release made over another."""
    yield from _mmlu_pro(home, work)
    for names in (
        ("phi-2", "phi-2-sft"),
        ("oasst-sft-llama-33b", "oasst-rlhf-llama-33b"),
        ("claude-2.1", "claude-2.1_concise"),
    ):
        arms = {"alpaca-eval": _both(recordings.alpaca_eval, home, names)}
        yield RealPair("AlpacaEval 2", names, 0.02, arms)
    yield from _bfcl(home)
    for names in (
        ("LLama3-8b-Ins", "LLama3-70b-Ins"),
        ("DSCoder-6.7b-Ins", "OC-DS-6.7B"),
        ("DSCoder-33b-Ins", "OC-DS-33B"),
        ("GPT-4-Turbo-1106", "GPT-4-Turbo-2024-04-09"),
        ("Claude-2", "Claude-3-Sonnet"),
    ):
        arms = {"livecodebench": _both(recordings.livecodebench, home, names)}
        yield RealPair("LiveCodeBench", names, 0.03, arms)
    yield from _mt_bench(home)


def _mmlu_pro(home: Path, work: Path) -> Iterator[RealPair]:
    for family, models in (("mistral", MISTRAL), ("llama", LLAMA)):
        for reading, found in recordings.mmlu_pro(home, work / family, models).items():
            both = (found[models[0]], found[models[1]])
            yield RealPair(f"MMLU-Pro, {reading}", models, 0.01, {"mmlu-pro": both})
        macro = (_by_subject(both[0]), _by_subject(both[1]))
        yield RealPair("MMLU-Pro, mean of subjects", models, 0.01, {"mmlu-pro": macro})


def _by_subject(found: Recorded) -> Recorded:
    """The same results with every subject counting alike."""
    return replace(found, weights=dict.fromkeys(found.strata.values(), 1.0))


def _bfcl(home: Path) -> Iterator[RealPair]:
    for names in (
        ("meta-llama_Meta-Llama-3-8B-Instruct", "NousResearch_Hermes-2-Pro-Llama-3-8B"),
        ("gpt-4-0613", "gpt-4-0613-FC"),
    ):
        for title, columns in (("AST", AST), ("relevance", {"relevance": ("relevance",)})):
            tasks = {
                f"bfcl {column}": _both(partial(recordings.bfcl, categories=files), home, names)
                for column, files in columns.items()
            }
            yield RealPair(f"BFCL V1 {title}", names, 0.02, tasks)
        arms = {"bfcl-ast": _both(recordings.bfcl_ast, home, names)}
        yield RealPair("BFCL V1 AST, one task of four strata", names, 0.02, arms)


def _mt_bench(home: Path) -> Iterator[RealPair]:
    half_a_point = 0.5 / JUDGE_POINTS
    for model in ("mistral-orpo-mix", "mistral-orpo-capybara"):
        names = (model, "mistral-orpo-trl")
        arms = {"mt-bench": _both(recordings.mt_bench, home, names)}
        yield RealPair("MT-Bench", names, half_a_point, arms)
    first, again = (recordings.mt_bench(home, "mistral-orpo", judging) for judging in (0, 1))
    names = ("mistral-orpo", "itself asked anew")
    yield RealPair("MT-Bench", names, half_a_point, {"mt-bench": (first, again)})


def _both(
    read: Callable[[Path, str], Recorded], home: Path, names: tuple[str, str]
) -> tuple[Recorded, Recorded]:
    return read(home, names[0]), read(home, names[1])


def judged(pair: RealPair, results: Path) -> CandidateVerdict:
    """evalkit's verdict of a pair, by way of sealed cells."""
    for task, arms in pair.tasks.items():
        for name, arm in zip(pair.names, arms, strict=True):
            seal(results, task, pair.benchmark, name, arm)
    policy = Policy(margins={pair.benchmark: pair.margin})
    return of_store(Store(results), pair.names, policy).candidates[0]


def unpaired_p(before: Recorded, after: Recorded) -> float:
    """Two-sided p of Z = (a − b)/√(SE_a² + SE_b²), SE the sample standard deviation over √n."""
    means, variances = zip(
        *(
            (np.mean(arm.known), np.var(arm.known, ddof=1) / len(arm.known))
            for arm in (before, after)
        ),
        strict=True,
    )
    spread = math.sqrt(sum(variances))
    return float(2 * normal_cdf(-abs(means[1] - means[0]) / spread)) if spread else 1.0


def rows(pair: RealPair, verdict: CandidateVerdict) -> Iterator[str]:
    """The table's rows of one pair: its domain, then its cells where there are several."""
    title = f"{pair.benchmark}: {pair.names[0]} → {pair.names[1]}"
    cells = {cell.task: cell for cell in verdict.cells}
    several = len(cells) > 1
    domain = verdict.domains[0]
    known = sum(cell.n for cell in cells.values())
    if several:
        yield _row(title, known, domain, pair.margin, "")
    for task, (before, after) in pair.tasks.items():
        p = unpaired_p(before, after)
        says = f"{'different' if p < SIGNIFICANT else 'no difference'} (p = {p:.2g})"
        name, margin = (f"· {task}", None) if several else (title, pair.margin)
        yield _row(name, cells[task].n, cells[task], margin, says)


def _row(
    title: str, n: int, unit: CellVerdict | DomainVerdict, margin: float | None, contrast: str
) -> str:
    delta, low, high = (100 * value for value in (unit.delta or math.nan, *(unit.ci or ())))
    return (
        f"| {title} | {n:,} | {delta:+.2f} | {low:+.2f} to {high:+.2f} "
        f"| {'' if margin is None else f'{100 * margin:.1f}'} | {unit.verdict} "
        f"| {', '.join(unit.flags)} | {contrast} |"
    )


def main() -> None:
    """Prints one row a pair, in points of the oriented scale."""
    home = os.environ.get("EVALKIT_DATA")
    if not home:
        raise SystemExit("EVALKIT_DATA: name the folder that holds model_outputs/")
    print("| pair | n | Δ | 90 % interval | margin | verdict | flags | unpaired z-test |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        for number, pair in enumerate(pairs(Path(home), Path(work))):
            for row in rows(pair, judged(pair, Path(work) / f"results{number}")):
                print(row, flush=True)


if __name__ == "__main__":
    main()
