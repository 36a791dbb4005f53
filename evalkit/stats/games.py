"""Bradley–Terry's model fitted to games as arrays, with covariates beside the players."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.distributions import FloatArray

ITERATIONS = 100
LARGEST_STRENGTH = 30.0  # e³⁰ to one: the likelihood has no maximum
CLOSE = 1e-10  # of the last step, in units of strength

Index = NDArray[np.intp]


@dataclass(frozen=True)
class Games:
    """Battles as arrays; players by number, the last of them held at 0 while fitting."""

    players: int
    first: Index
    second: Index
    won: FloatArray
    weight: FloatArray
    style: FloatArray  # one row a battle, each column divided by its root mean square

    def weighed(self, weight: FloatArray) -> Games:
        """The same battles with other weights; those of weight 0 are left out."""
        there = weight > 0
        return replace(
            self,
            first=self.first[there],
            second=self.second[there],
            won=self.won[there],
            weight=weight[there],
            style=self.style[there],
        )

    def pooled(self) -> Games:
        """Battles of equal players made one: as good, where style plays no part."""
        pairs = self.players * self.first + self.second
        weight = np.asarray(np.bincount(pairs, self.weight), dtype=float)
        won = np.bincount(pairs, self.weight * self.won)
        known = np.flatnonzero(weight)
        return replace(
            self,
            first=known // self.players,
            second=known % self.players,
            won=won[known] / weight[known],
            weight=weight[known],
            style=np.empty((len(known), 0)),
        )


def fit(games: Games, start: FloatArray | None = None) -> FloatArray:
    """Every player's β, then γ, by Newton's method on the weighted log-likelihood.

    Raises ValueError where no finite strengths fit.
    """
    free = np.delete(np.arange(games.players + games.style.shape[1]), games.players - 1)
    beta = (
        np.zeros(len(free) + 1)
        if start is None
        else start
        - np.pad(np.full(games.players, start[games.players - 1]), (0, games.style.shape[1]))
    )
    for _ in range(ITERATIONS):
        gradient, information = _derivatives(games, beta)
        try:
            step = np.linalg.solve(information[np.ix_(free, free)], gradient[free])
        except np.linalg.LinAlgError:
            break
        beta = beta.copy()
        beta[free] += step
        if not np.abs(beta).max() < LARGEST_STRENGTH:
            break
        if np.abs(step).max(initial=0.0) < CLOSE:
            return beta
    raise ValueError("no finite strengths: some players never lost to, or never met, the others")


def _derivatives(games: Games, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The gradient of the log-likelihood and its information, summed battle by battle."""
    n, first, second, style = games.players, games.first, games.second, games.style
    chance = 1 / (1 + np.exp(-(beta[first] - beta[second] + style @ beta[n:])))
    left = games.weight * (games.won - chance)
    spread = games.weight * chance * (1 - chance)

    def by_player(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(first, values, n) - np.bincount(second, values, n))

    met = np.bincount(n * first + second, spread, n * n).reshape(n, n)
    players = -(met + met.T)
    np.fill_diagonal(players, np.bincount(first, spread, n) + np.bincount(second, spread, n))
    mixed = np.array([by_player(spread * column) for column in style.T]).reshape(-1, n)
    information = np.block([[players, mixed.T], [mixed, (style.T * spread) @ style]])
    return np.concatenate([by_player(left), style.T @ left]), information
