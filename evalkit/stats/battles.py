"""Bradley–Terry over single battles: weights, ties, style covariates, bootstrap by prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.distributions import FloatArray
from evalkit.stats.games import Games, fit

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
    strength: float  # β, the anchor's being 0, or the mean of all
    lower: float  # 90 % two-sided, percentile
    upper: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """All players, the strongest first."""

    places: tuple[Strength, ...]
    style: tuple[
        float, ...
    ]  # γ of each covariate, per root mean square of it; 0 if it never varies
    unfitted: float  # share of resamples in which no finite strengths fit: they are left out


def rank(
    battles: Sequence[Battle], anchor: str = "", *, resamples: int = RESAMPLES, seed: int = SEED
) -> Ranking:
    """Strengths by P(first wins) = σ(βᵢ − βⱼ + γ·x), with an interval by bootstrap over prompts.

    Bradley & Terry 1952, Biometrika 39:324; style covariates as arena leaderboards use them: x is
    divided by its root mean square and not centred, so exchanging the sides changes nothing.
    Strengths count from the anchor's, or from the mean of all without one.  Raises ValueError where
    no finite strengths fit.
    """
    names = sorted({name for battle in battles for name in (battle.first, battle.second)})
    if anchor and anchor not in names:
        raise ValueError(f"the anchor {anchor!r} has no battles")
    games, varying = _games(battles, names)
    zero = names.index(anchor) if anchor else None
    fitted = fit(games if varying.any() else games.pooled())
    replicates = _replicates(battles, games, fitted, resamples, seed)
    if not len(replicates):
        raise ValueError("no finite strengths in any resample: too few prompts")
    found = _counted_from(fitted[None, :], len(names), zero)[0]
    drawn = _counted_from(replicates, len(names), zero)
    lower, upper = np.quantile(drawn[:, : len(names)], [0.05, 0.95], axis=0)
    columns = (found[: len(names)].tolist(), lower.tolist(), upper.tolist())
    places = [Strength(*row) for row in zip(names, *columns, strict=True)]
    style = np.zeros(len(varying))
    style[varying] = found[len(names) :]
    return Ranking(
        tuple(sorted(places, key=lambda place: -place.strength)),
        tuple(style.tolist()),
        1 - len(replicates) / resamples,
    )


def comparable(battles: Sequence[Battle]) -> set[str]:
    """The largest set of players among whom all have finite strengths.

    Each beat and was beaten by the others, directly or by way of third ones (Ford 1957, American
    Mathematical Monthly 64:28); a tie counts as both.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    names = sorted({name for battle in battles for name in (battle.first, battle.second)})
    number = {name: i for i, name in enumerate(names)}
    arrows = [
        pair
        for battle in battles
        for pair, beat in (
            ((number[battle.first], number[battle.second]), battle.won > 0),
            ((number[battle.second], number[battle.first]), battle.won < 1),
        )
        if beat
    ]
    if not arrows:
        return set()
    rows, columns = np.array(arrows).T
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), (len(names), len(names)))
    group = connected_components(graph, connection="strong")[1]
    largest = int(np.argmax(np.bincount(group)))
    return {name for name, own in zip(names, group, strict=True) if own == largest}


def _games(battles: Sequence[Battle], names: Sequence[str]) -> tuple[Games, NDArray[np.bool_]]:
    """The battles as arrays, and which covariates vary."""
    number = {name: i for i, name in enumerate(names)}
    style = np.array([battle.style for battle in battles], dtype=float)
    scale = np.sqrt(np.square(style).mean(axis=0))
    varying = scale > 0
    games = Games(
        len(names),
        np.array([number[battle.first] for battle in battles]),
        np.array([number[battle.second] for battle in battles]),
        np.array([battle.won for battle in battles], dtype=float),
        np.array([battle.weight for battle in battles], dtype=float),
        style[:, varying] / scale[varying],
    )
    return games, varying


def _replicates(
    battles: Sequence[Battle], games: Games, fitted: FloatArray, resamples: int, seed: int
) -> FloatArray:
    """The strengths of every resample of prompts that has finite ones, one a row."""
    prompts = np.unique([battle.prompt for battle in battles], return_inverse=True)[1]
    count = int(prompts.max()) + 1
    random = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        times = np.bincount(random.integers(0, count, count), minlength=count)
        drawn = games.weighed(games.weight * times[prompts].astype(float))
        try:
            found.append(fit(drawn if games.style.size else drawn.pooled(), fitted))
        except ValueError:
            continue
    return np.array(found)


def _counted_from(fits: FloatArray, players: int, zero: int | None) -> FloatArray:
    strengths = fits[:, :players]
    origin = strengths.mean(axis=1) if zero is None else strengths[:, zero]
    return np.hstack([strengths - origin[:, None], fits[:, players:]])
