"""One-sided p-values of the hypothesis that nothing declined; swap the arms for "improved"."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.distributions import FloatArray, t_cdf

MONTE_CARLO = 20_000
SEED = 20_250_704  # fixed: the same data give the same report
BATCH = 4_000_000  # random signs held at once
LATTICE_WORK = 50_000_000  # additions beyond which the exact distribution is not worth its time


def mcnemar_midp(gained: ArrayLike, lost: ArrayLike) -> FloatArray:
    """Mid-p McNemar: P(X < g) + ½P(X = g), X ~ Bin(g + l, ½); ½ where nothing changed.

    Fagerland, Lydersen & Laake 2013, BMC Medical Research Methodology 13:91.
    """
    from scipy import special

    up, down = np.asarray(gained, dtype=float), np.asarray(lost, dtype=float)
    # P(X <= x) of a binomial is a regularised incomplete beta function.
    below = np.where(up > 0, special.betainc(down + 1, np.maximum(up, 1), 0.5), 0.0)
    up_to = np.where(down > 0, special.betainc(np.maximum(down, 1), up + 1, 0.5), 1.0)
    return np.asarray((below + up_to) / 2)


def paired_t(differences: ArrayLike) -> tuple[float, float]:
    """t = mean/(s/√n) and P(t_{n−1} < t); (0, ½) where every difference is 0."""
    d = np.asarray(differences, dtype=float)
    mean, spread = float(d.mean()), float(d.std(ddof=1))
    if mean == 0.0:
        return 0.0, 0.5
    if spread == 0.0:
        return float(np.copysign(np.inf, mean)), float(mean > 0)
    t = mean / (spread / np.sqrt(d.size))
    return float(t), float(t_cdf(t, d.size - 1))


def sign_flip(differences: ArrayLike, lattice: int | None = None) -> float:
    """P(Σ±|dᵢ| ≤ Σdᵢ) over all equally likely signs (Fisher's randomisation test).

    Exact where every difference is a multiple of 1/`lattice` (means of k samples: the least
    common multiple of both k); else (1 + #)/(1 + 20 000) over random signs of a fixed seed.
    """
    d = np.asarray(differences, dtype=float)
    steps = None if lattice is None else _on_lattice(d, lattice)
    return _sign_flip_random(d) if steps is None else _sign_flip_exact(steps)


def _on_lattice(d: FloatArray, lattice: int) -> NDArray[np.int64] | None:
    steps = np.rint(d * lattice).astype(np.int64)
    steps_fit = np.allclose(steps, d * lattice, rtol=0.0, atol=1e-6)
    affordable = np.abs(steps).sum() * np.count_nonzero(steps) <= LATTICE_WORK
    return steps if steps_fit and affordable else None


def _sign_flip_exact(steps: NDArray[np.int64]) -> float:
    # Σ±|d| ≤ Σd exactly when the sum over the items that came out positive is at most Σd⁺.
    sizes = np.abs(steps[steps != 0])
    probability = np.zeros(int(sizes.sum()) + 1)
    probability[0] = 1.0
    for size in sizes:
        shifted = probability[:-size] / 2
        probability /= 2
        probability[size:] += shifted
    return float(min(1.0, probability[: int(steps[steps > 0].sum()) + 1].sum()))


def _sign_flip_random(d: FloatArray) -> float:
    sizes = np.sort(np.abs(d[d != 0]))  # sorted: the order of the items must not matter
    # As in the exact test: the sum of those that came out positive, against the one observed.
    observed = d[d > 0].sum() + 1e-12 * (1.0 + sizes.sum())  # ties but for rounding count
    random = np.random.default_rng(SEED)
    rows = max(1, BATCH // max(1, sizes.size))
    as_extreme = 0
    for start in range(0, MONTE_CARLO, rows):
        count = min(rows, MONTE_CARLO - start)
        packed = random.integers(0, 256, (count, -(-sizes.size // 8)), dtype=np.uint8)
        positive = np.unpackbits(packed, axis=1, count=sizes.size)
        as_extreme += int(np.count_nonzero(positive.astype(float) @ sizes <= observed))
    return (1 + as_extreme) / (1 + MONTE_CARLO)
