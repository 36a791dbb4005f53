"""Strengths from pairwise games: Bradley–Terry, with weighted games and ties."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evalkit.stats.distributions import FloatArray

Games = tuple[str, str, float, float]
"""Two players, and the games each won of the other; weights and half games are welcome."""

ITERATIONS = 100
LARGEST_STRENGTH = 30.0  # e³⁰ to one: the likelihood has no maximum


def bradley_terry(games: Sequence[Games], anchor: str) -> dict[str, float]:
    """Maximum-likelihood strengths, P(i beats j) = σ(βᵢ − βⱼ), the anchor's being 0.

    Bradley & Terry 1952, Biometrika 39:324; a tie is half a win for each.  Raises ValueError
    where some players never lost to, or never met, the others: no finite strength fits.
    """
    names = sorted({name for game in games for name in game[:2]} - {anchor})
    index = {name: i for i, name in enumerate([*names, anchor])}
    wins = np.zeros((len(index), len(index)))
    for first, second, won, lost in games:
        wins[index[first], index[second]] += won
        wins[index[second], index[first]] += lost
    strengths = _newton(wins)
    return {name: float(strengths[i]) for name, i in index.items()}


def win_rate(strength: float, against: float = 0.0) -> float:
    """P(the first beats the second) = σ(β − β′)."""
    return 1 / (1 + math.exp(against - strength))


def elo(strength: float) -> float:
    """Elo points above the anchor: 400β/ln 10."""
    return 400 * strength / math.log(10)


def _newton(wins: FloatArray) -> FloatArray:
    """Newton's method on the log-likelihood; the last player is held at 0."""
    played = wins + wins.T
    beta = np.zeros(len(wins))
    for _ in range(ITERATIONS):
        chance = 1 / (1 + np.exp(beta[None, :] - beta[:, None]))
        gradient = (wins - played * chance).sum(axis=1)
        information = -played * chance * (1 - chance)
        np.fill_diagonal(information, -information.sum(axis=1))
        try:
            step = np.linalg.solve(information[:-1, :-1], gradient[:-1])
        except np.linalg.LinAlgError:
            break
        beta[:-1] += step
        if not np.abs(beta).max() < LARGEST_STRENGTH:
            break
        if np.abs(step).max(initial=0.0) < 1e-12:
            return beta
    raise ValueError("no finite strengths: some players never lost to, or never met, the others")
