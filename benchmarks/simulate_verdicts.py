"""Measures how often whole verdicts are wrong: the decision table over seven domains.

    python -m benchmarks.simulate_verdicts [--replicates 2000]

Every domain gates with a margin of 3.53 standard errors of its mean, rounded up to half a point,
as `evalkit.stats.power` suggests; each replicate goes through the same code as a comparison does.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.simulated_cells import DISCORDANT, DOMAINS, draw_all
from evalkit.comparison.decided import Decided
from evalkit.comparison.measured import Measured
from evalkit.comparison.policy import Policy
from evalkit.stats.decision import overall
from evalkit.stats.power import suggested_margin

SEED = 20_250_704


def margins() -> dict[str, float]:
    """Every domain's margin, from its planned standard error."""
    return {
        domain: suggested_margin(float(np.sqrt(sum(DISCORDANT / n for n in sizes))) / len(sizes))
        for domain, sizes in DOMAINS.items()
    }


def uniform(share: float, *only: str) -> dict[str, tuple[float, ...]]:
    """A decline of every cell by a share of its domain's margin."""
    return {
        domain: (-share * margin,) * len(DOMAINS[domain])
        for domain, margin in margins().items()
        if not only or domain in only
    }


SCENARIOS: Mapping[str, Mapping[str, Sequence[float]]] = {
    "nothing changed": {},
    "code declined by its margin": uniform(1.0, "code"),
    "knowledge declined by its margin": uniform(1.0, "knowledge"),
    "all declined by their margins": uniform(1.0),
    "code declined by half its margin": uniform(0.5, "code"),
    "code declined by twice its margin": uniform(2.0, "code"),
    "all improved by their margins": uniform(-1.0),
}


@dataclass(frozen=True)
class Judged:
    """One replicate: its exit code, and what was called regressed and passed."""

    exit_code: int
    regressed: frozenset[str]  # domains, and domains of cells
    passed: frozenset[str]


def judged(changes: Mapping[str, Sequence[float]], replicates: int) -> Iterator[Judged]:
    """Every replicate's verdict."""
    cells = draw_all(np.random.default_rng(SEED), changes, replicates)
    policy = Policy(margins=margins())
    for i in range(replicates):
        measured = [
            Measured(f"{domain} {number}", domain, None, {"plain": cell.estimate(i)})
            for domain, row in cells.items()
            for number, cell in enumerate(row)
        ]
        found = Decided(measured, policy, "plain")
        domains = {domain: found.decide_domain(domain).verdict for domain in found.domains}
        units = [
            *domains.items(),
            *zip((m.domain for m in measured), (c.verdict for c in found.cells), strict=True),
        ]
        yield Judged(
            overall([*domains.values()], [cell.verdict for cell in found.cells])[1],
            frozenset(domain for domain, verdict in units if verdict == "regressed"),
            frozenset(
                d for d, verdict in domains.items() if verdict in ("improved", "no_regression")
            ),
        )


def main() -> None:
    """Prints one row a scenario, as a Markdown table."""
    parser = argparse.ArgumentParser(description="How often whole verdicts are wrong.")
    parser.add_argument("--replicates", type=int, default=2_000)
    replicates = parser.parse_args().replicates
    stated = ", ".join(f"{domain} {100 * margin:.1f}" for domain, margin in margins().items())
    print(f"Margins in points: {stated}.\n")
    print("| what happened | exit 0 | exit 1 | exit 3 | a wrong pass | a wrong regression |")
    print("|---|---|---|---|---|---|")
    for name, changes in SCENARIOS.items():
        found = list(judged(changes, replicates))
        codes = Counter(each.exit_code for each in found)
        lost = {d for d, row in changes.items() if -sum(row) / len(row) >= margins()[d] - 1e-12}
        declined = {d for d, row in changes.items() if any(delta < 0 for delta in row)}
        wrong_pass = max(
            (np.mean([d in each.passed for each in found]) for d in lost), default=None
        )
        wrong = np.mean([bool(each.regressed - declined) for each in found])
        shares = " | ".join(f"{codes[code] / replicates:.1%}" for code in (0, 1, 3))
        print(
            f"| {name} | {shares} | {'' if wrong_pass is None else f'{wrong_pass:.1%}'} "
            f"| {'' if len(declined) == len(DOMAINS) else f'{wrong:.1%}'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
