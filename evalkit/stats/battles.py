"""Bradley–Terry over single battles: weights, ties, style covariates, bootstrap by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.distributions import FloatArray
from evalkit.stats.rankings import LARGEST_STRENGTH

ITERATIONS = 100
RESAMPLES = 1_000
SEED = 20_250_704  # fixed: the same data give the same report


@dataclass(frozen=True, slots=True)
class Battle:
    """One judged pair of answers to one prompt."""

    prompt: str  # all battles of a prompt are resampled together
    first: str
    second: str
    won: float  # 1 the first, 0 the second, ½ a tie; a mean of both orders is welcome
    weight: float = 1.0  # 3 for a clear win, say: a weight, never three battles
    style: tuple[float, ...] = ()  # the first's answer against the second's, 0 where alike


@dataclass(frozen=True, slots=True)
class Strength:
    """One player's place."""

    player: str
    strength: float  # β, the anchor's being 0
    lower: float  # 90 % two-sided, percentile
    upper: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """All players, the strongest first."""

    places: tuple[Strength, ...]
    style: tuple[float, ...]  # γ of each covariate, per root mean square of it
    unfitted: float  # share of resamples in which no finite strengths fit: they are left out


def rank(
    battles: Sequence[Battle], anchor: str, *, resamples: int = RESAMPLES, seed: int = SEED
) -> Ranking:
    """Strengths by P(first wins) = σ(βᵢ − βⱼ + γ·x), with an interval by bootstrap over prompts.

    Bradley & Terry 1952, Biometrika 39:324; style covariates as arena leaderboards use them: x is
    divided by its root mean square and not centred, so exchanging the sides changes nothing.
    Raises ValueError where no finite strengths fit.
    """
    players, design, won, weight = _design(battles, anchor)
    fitted = _fit(design, won, weight)
    prompts = np.unique([battle.prompt for battle in battles], return_inverse=True)[1]
    count = int(prompts.max()) + 1
    random = np.random.default_rng(seed)
    replicates = []
    for _ in range(resamples):
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        try:
            replicates.append(_fit(design, won, weight * drawn[prompts]))
        except ValueError:
            continue
    if not replicates:
        raise ValueError("no finite strengths in any resample: too few prompts")
    lower, upper = np.quantile(np.array(replicates), [0.05, 0.95], axis=0)
    places = [
        Strength(name, *(float(column[i]) for column in (fitted, lower, upper)))
        for i, name in enumerate(players)
    ]
    return Ranking(
        tuple(sorted([*places, Strength(anchor, 0.0, 0.0, 0.0)], key=lambda p: -p.strength)),
        tuple(fitted[len(players) :].tolist()),
        1 - len(replicates) / resamples,
    )


def _design(
    battles: Sequence[Battle], anchor: str
) -> tuple[list[str], FloatArray, FloatArray, FloatArray]:
    names = {name for battle in battles for name in (battle.first, battle.second)}
    if anchor not in names:
        raise ValueError(f"the anchor {anchor!r} has no battles")
    players = sorted(names - {anchor})
    column = {name: i for i, name in enumerate(players)}
    sides = np.zeros((len(battles), len(players)))
    for row, battle in enumerate(battles):
        for name, sign in ((battle.first, 1.0), (battle.second, -1.0)):
            if name != anchor:
                sides[row, column[name]] += sign
    style = np.array([battle.style for battle in battles], dtype=float)
    scale = np.sqrt(np.square(style).mean(axis=0))
    varying = style[:, scale > 0] / scale[scale > 0]
    won = np.array([battle.won for battle in battles])
    weight = np.array([battle.weight for battle in battles])
    return players, np.hstack([sides, varying]), won, weight


def _fit(design: FloatArray, won: FloatArray, weight: FloatArray) -> FloatArray:
    """Newton's method on the weighted log-likelihood."""
    beta = np.zeros(design.shape[1])
    for _ in range(ITERATIONS):
        chance = 1 / (1 + np.exp(-design @ beta))
        information = (design.T * (weight * chance * (1 - chance))) @ design
        try:
            step = np.linalg.solve(information, design.T @ (weight * (won - chance)))
        except np.linalg.LinAlgError:
            break
        beta = beta + step
        if not np.abs(beta).max() < LARGEST_STRENGTH:
            break
        if np.abs(step).max() < 1e-10:
            return beta
    raise ValueError("no finite strengths: some players never lost to, or never met, the others")
