"""Length-controlled win rates without the authors' difficulties: fitted anew to what was judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.distributions import FloatArray
from evalkit.stats.length_control import Judged
from evalkit.stats.weighted_logistic import logistic

DIFFICULTY_PENALTY = 0.2
"""1/variance of the difficulties that are fitted anew: the best of 0.1 to 1 by cross-validated
log-loss on ten published models."""

LENGTH_EFFECT, LENGTH_PRECISION = -1.613, 13.0
"""In place of the reference's variants: the mean of the effects that the authors publish for them
(-1.584 and -1.642), and the information that 2 × 805 answers with a tenth of the weight hold."""

ITERATIONS = 100


def refitted(cells: Sequence[Judged]) -> list[float]:
    """Win rates with difficulties that are fitted, penalised, to these cells' answers together.

    z = wₘx + bₘ + dᵢ with dᵢ ~ N(0, 1/λ) and wₘ ~ N(w̄, 1/κ), by Newton's method on the maximum of
    the posterior; the win rate is the mean of σ(bₘ + dᵢ).
    """
    numbers = np.unique(np.concatenate([cell.instruction for cell in cells]))
    row = np.concatenate([np.searchsorted(numbers, cell.instruction) for cell in cells])
    model = np.repeat(np.arange(len(cells)), [len(cell.preference) for cell in cells])
    x = np.concatenate([_standardised(cell) for cell in cells])
    y = np.concatenate([cell.preference for cell in cells])
    _, own, difficulty = _posterior(row, model, x, y)
    return [float(logistic(own[m] + difficulty[row[model == m]]).mean()) for m in range(len(cells))]


def _posterior(
    row: NDArray[np.intp], model: NDArray[np.intp], x: FloatArray, y: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The most likely effects of length and of the models, and difficulties of the instructions.

    The difficulties' block of the curvature is diagonal, so a step solves the few others first.
    """
    models, instructions = int(model.max()) + 1, int(row.max()) + 1
    theta = np.concatenate([np.full(models, LENGTH_EFFECT), np.zeros(models)])
    prior = np.concatenate([np.full(models, LENGTH_PRECISION), np.zeros(models)])
    middle = np.concatenate([np.full(models, LENGTH_EFFECT), np.zeros(models)])
    difficulty = np.zeros(instructions)
    features = np.zeros((len(y), 2 * models))
    at = np.arange(len(y))
    features[at, model], features[at, models + model] = x, 1.0
    for _ in range(ITERATIONS):
        chance = logistic(features @ theta + difficulty[row])
        spread = chance * (1 - chance)
        cross = np.zeros((instructions, 2 * models))
        np.add.at(cross, row, features * spread[:, None])
        own = np.bincount(row, spread, instructions) + DIFFICULTY_PENALTY
        slope = features.T @ (y - chance) - prior * (theta - middle)
        lean = np.bincount(row, y - chance, instructions) - DIFFICULTY_PENALTY * difficulty
        inner = (features.T * spread) @ features + np.diag(prior + 1e-9)
        reduced = inner - (cross.T / own) @ cross
        step = np.linalg.solve(reduced, slope - (cross.T / own) @ lean)
        shift = (lean - cross @ step) / own
        reach = max(float(np.abs(step).max()), float(np.abs(shift).max()), 1e-12)
        pace = min(1.0, 2.0 / reach)  # far from the maximum a whole step overshoots
        theta, difficulty = theta + pace * step, difficulty + pace * shift
        if reach < 1e-9:
            break
    return theta[:models], theta[models:], difficulty


def _standardised(judged: Judged) -> FloatArray:
    scale = judged.longer.std(ddof=1) if len(judged.longer) > 1 else 0.0
    return np.tanh(judged.longer / scale) if scale else np.zeros(len(judged.longer))
