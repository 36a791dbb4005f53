"""Strengths from pairwise games: Bradley–Terry, with weighted games and ties."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evalkit.stats.games import Games, fit

Sums = tuple[str, str, float, float]
"""Two players, and the games each won of the other; weights and half games are welcome."""


def bradley_terry(games: Sequence[Sums], anchor: str) -> dict[str, float]:
    """Maximum-likelihood strengths, P(i beats j) = σ(βᵢ − βⱼ), the anchor's being 0.

    Bradley & Terry 1952, Biometrika 39:324; a tie is half a win for each.  Raises ValueError
    where some players never lost to, or never met, the others: no finite strength fits.
    """
    names = [*sorted({name for game in games for name in game[:2]} - {anchor}), anchor]
    number = {name: i for i, name in enumerate(names)}
    played = [game for game in games if game[2] + game[3] > 0]
    weight = np.array([won + lost for *_, won, lost in played])
    found = fit(
        Games(
            len(names),
            np.array([number[first] for first, *_ in played], dtype=np.intp),
            np.array([number[second] for _, second, *_ in played], dtype=np.intp),
            np.array([won for *_, won, _ in played]) / weight,
            weight,
            np.empty((len(played), 0)),
        )
    )
    return dict(zip(names, found.tolist(), strict=True))


def win_rate(strength: float, against: float = 0.0) -> float:
    """P(the first beats the second) = σ(β − β′)."""
    return 1 / (1 + math.exp(against - strength))


def elo(strength: float) -> float:
    """Elo points above the anchor: 400β/ln 10."""
    return 400 * strength / math.log(10)
