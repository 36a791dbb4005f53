"""Win rates of judged battles with a reference, raw and with style held equal, and differences.

Strong verdicts weigh more, as weights on one prompt; what is resampled is prompts, with all of
their games.  Intervals are 90 %, by bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from evalkit import Graded

from ._judged import known, raw_metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evalkit.types import Fitted, ScoreRows

GAMES = 2.0  # weight of a prompt whose two games were no strong verdicts
ALIKE = (0.0, 0.0, 0.0, 0.0)
RESAMPLES = 1_000


def metrics(graded: Sequence[Graded]) -> dict[str, float]:
    """The weighted win rate and the one with style held equal, with their intervals."""
    import numpy as np

    found = raw_metrics(graded)
    if not found:
        return {}
    games = Games.of([(value, noted) for _, value, noted in known(graded)])
    prompts = np.arange(len(games.share))
    found |= _interval("win_rate", games.pooled, prompts)
    return found | _interval("style_controlled", games.controlled, prompts)


def _interval(
    name: str, figure: Callable[[NDArray[np.intp]], float], prompts: NDArray[np.intp]
) -> dict[str, float]:
    """A figure with its interval; nothing where it fits no effects to these games."""
    import numpy as np

    from evalkit.stats.designs import SEED

    random = np.random.default_rng(SEED)
    try:
        value = figure(prompts)
    except ValueError:
        return {}
    drawn = []
    for _ in range(RESAMPLES):
        with suppress(ValueError):
            drawn.append(figure(random.integers(0, len(prompts), len(prompts))))
    lower, upper = np.quantile(drawn, [0.05, 0.95])
    return {name: value, f"{name}_lower": float(lower), f"{name}_upper": float(upper)}


class Games:
    """Judged games with the reference, a row a prompt: what was won of them, and their style."""

    def __init__(
        self,
        share: NDArray[np.float64],
        weight: NDArray[np.float64],
        design: NDArray[np.float64],
    ) -> None:
        self.share, self.weight, self.design = share, weight, design
        self._start: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, rows: Sequence[tuple[float, Mapping[str, Any]]]) -> Games:
        """Of judged answers, each with what is noted of it.

        Covariates are divided by their root mean square and not centred, so that the win rate
        with style held equal is that of two answers of one style.
        """
        import numpy as np

        style = np.array([noted.get("style", ALIKE) for _, noted in rows], dtype=float)
        scale = np.sqrt(np.square(style).mean(axis=0))
        varying = style[:, scale > 0] / scale[scale > 0]
        return cls(
            np.array([value for value, _ in rows], dtype=float),
            np.array([noted.get("weight", GAMES) for _, noted in rows], dtype=float),
            np.hstack([np.ones((len(rows), 1)), varying]),
        )

    def pooled(self, prompts: NDArray[np.intp]) -> float:
        """The mean over all games of some prompts, each as often as its weight."""
        weight = self.weight[prompts]
        return float((self.share[prompts] * weight).sum() / weight.sum())

    def controlled(self, prompts: NDArray[np.intp]) -> float:
        """The chance to win against an answer of the same style; ValueError where none fits."""
        import numpy as np

        from evalkit.stats.weighted_logistic import effects

        times = np.bincount(prompts, minlength=len(self.share))
        found = effects(self.design, self.share, self.weight * times, self._start)
        if self._start is None:
            self._start = found
        return 1 / (1 + math.exp(-found[0]))


def raw(before: ScoreRows, after: ScoreRows) -> Fitted:
    """The difference of two weighted win rates."""
    old, new = _both(before, after)

    def difference(prompts: NDArray[np.intp]) -> float:
        return new.pooled(prompts) - old.pooled(prompts)

    return difference


def controlled(before: ScoreRows, after: ScoreRows) -> Fitted:
    """The difference of two win rates with style held equal."""
    old, new = _both(before, after)

    def difference(prompts: NDArray[np.intp]) -> float:
        return new.controlled(prompts) - old.controlled(prompts)

    return difference


def _both(before: ScoreRows, after: ScoreRows) -> list[Games]:
    return [Games.of([(row["value"], row["details"]) for row in rows]) for rows in (before, after)]
