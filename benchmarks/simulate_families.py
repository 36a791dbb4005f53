"""Measures the error and the power of the regression family, beside Holm over all cells.

    python -m benchmarks.simulate_families [--replicates 2000]

Twenty cells in seven domains, as large as the benchmarks in use; 20 % of the items differ between
two checkpoints.  A row is a way of declining; the figures are the shares of replicates in which
some domain that declined was flagged, and (error) some domain that did not.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.simulated_cells import DOMAINS, draw_all
from evalkit.stats.families import holm, regression_family

SEED = 20_250_704
ALPHA = 0.05

SCENARIOS: Mapping[str, Mapping[str, Sequence[float]]] = {
    "nothing changed": {},
    "tools −2 points in every cell": {"tools": (-0.02, -0.02, -0.02)},
    "code −2 points in every cell": {"code": (-0.02, -0.02, -0.02)},
    "every cell −1 point": {domain: (-0.01,) * len(sizes) for domain, sizes in DOMAINS.items()},
    "one large cell −6 (IFEval-sized)": {"instruction": (-0.06, 0.0, 0.0)},
    "one small cell −8 (GPQA-sized)": {"knowledge": (0.0, -0.08, 0.0)},
    "math +6, instruction −3": {"math": (0.06,) * 3, "instruction": (-0.03,) * 3},
}


def shares(changes: Mapping[str, Sequence[float]], replicates: int) -> np.ndarray:
    """Flagged rightly and wrongly by the family, then by Holm, then without any correction."""
    random = np.random.default_rng(SEED)
    cells = draw_all(random, changes, replicates)
    declined = [any(delta < 0 for delta in changes.get(domain, ())) for domain in DOMAINS]
    rows = [
        _flagged(
            [[cell.p_regressed[i] for cell in row] for row in cells.values()],
            [[cell.estimate(i).se for cell in row] for row in cells.values()],
        )
        for i in range(replicates)
    ]
    flagged = np.array(rows)  # replicates × (family, Holm, nothing) × domains
    rightly = flagged[:, :, declined].any(axis=2).mean(axis=0)
    wrongly = flagged[:, :, np.logical_not(declined)].any(axis=2).mean(axis=0)
    return np.stack([rightly, wrongly], axis=1)


def _flagged(p: list[list[float]], se: list[list[float]]) -> list[list[bool]]:
    flat = holm([each for row in p for each in row])
    ends = np.cumsum([len(row) for row in p])[:-1]
    family = regression_family(p, se).p_domain_adjusted
    return [
        [each <= ALPHA for each in family],
        [bool(part.min() <= ALPHA) for part in np.split(flat, ends)],
        [min(row) <= ALPHA for row in p],
    ]


def main() -> None:
    """Prints one row a scenario, as a Markdown table."""
    parser = argparse.ArgumentParser(description="Errors and power of the regression family.")
    parser.add_argument("--replicates", type=int, default=2_000)
    replicates = parser.parse_args().replicates
    print("| what happened | family: found | error | Holm: found | error | uncorrected error |")
    print("|---|---|---|---|---|---|")
    for name, changes in SCENARIOS.items():
        family, cellwise, nothing = shares(changes, replicates)
        power = [f"{each[0]:.2f}" if changes else "" for each in (family, cellwise)]
        errors = [
            "" if len(changes) == len(DOMAINS) else f"{each[1]:.1%}"
            for each in (family, cellwise, nothing)
        ]
        print(
            f"| {name} | {power[0]} | {errors[0]} | {power[1]} | {errors[1]} | {errors[2]} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
