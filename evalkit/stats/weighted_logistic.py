"""Logistic regression of shares with weights, small and without a penalty: Newton's method."""

from __future__ import annotations

import numpy as np

from evalkit.stats.distributions import FloatArray

ITERATIONS = 100
LARGEST = 30.0  # e³⁰ to one: the likelihood has no maximum


def logistic(z: FloatArray) -> FloatArray:
    """σ(z), without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


def effects(
    design: FloatArray, share: FloatArray, weight: FloatArray, start: FloatArray | None = None
) -> FloatArray:
    """Maximises Σw(y log p + (1 − y) log(1 − p)), p = σ(Xβ); ValueError where nothing does."""
    beta = np.zeros(design.shape[1]) if start is None else start.copy()
    for _ in range(ITERATIONS):
        chance = logistic(design @ beta)
        information = (design.T * (weight * chance * (1 - chance))) @ design
        try:
            step = np.linalg.solve(information, design.T @ (weight * (share - chance)))
        except np.linalg.LinAlgError:
            break
        beta = beta + step
        if not np.abs(beta).max() < LARGEST:
            break
        if np.abs(step).max() < 1e-10:
            return beta
    raise ValueError("no finite effects fit these shares")
