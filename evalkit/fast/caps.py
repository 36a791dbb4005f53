"""How many units of each task a fast gate asks at most."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalkit.stats.power import n_required


def unit_caps(
    sizes: Sequence[int], weights: Sequence[float], variances: Sequence[float], margin: float
) -> list[int]:
    """Units of each cell after which nothing is gained: n_j ∝ w_j with Σw_j²σ_j²/n_j ≤ (m/2z)².

    For one cell this is min(N, ⌈(2z)²σ²/m²⌉).  A cell too small for its share gives all it has,
    and the others make up for it as far as they can.
    """
    whole = sum(weights)
    shares = [weight / whole for weight in weights]
    needed = sum(
        w * n_required(v, margin, power=0.95) for w, v in zip(shares, variances, strict=True)
    )

    def spread(scale: float) -> float:
        rows = zip(sizes, shares, variances, strict=True)
        return sum(w**2 * v / min(n, scale * w) for n, w, v in rows)

    goal = sum(w * v for w, v in zip(shares, variances, strict=True)) / needed
    low, high = float(needed), max(n / w for n, w in zip(sizes, shares, strict=True))
    if low < high and spread(low) > goal * (1 + 1e-9):
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if spread(middle) > goal else (low, middle)
        low = high
    return [min(n, math.ceil(low * w - 1e-6)) for n, w in zip(sizes, shares, strict=True)]
