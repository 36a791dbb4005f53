"""Length-controlled win rates: what a judge would prefer, were answers as long as the reference's.

Dubois et al. 2024, arXiv:2404.04475, as in tatsu-lab/alpaca_eval at cd543a1, `glm_winrate.py`: a
logistic model without intercept of the preference y ∈ [0, 1] on tanh(Δ/sd(Δ)), Δ being the
reference's length less the answer's in characters, on the instruction's difficulty, and on a
constant; the win rate is the mean prediction at Δ = 0.  Two variants of the reference itself,
a wordy and a terse one, are appended with a tenth of the weight each; they have no constant.

The authors fitted the difficulties once, on many models; `evalkit.stats.difficulties` is for where
they are not at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.distributions import FloatArray
from evalkit.stats.lasso import cross_validated, lasso
from evalkit.stats.weighted_logistic import logistic

GAMED_WEIGHT = 0.1  # λ/2 with the authors' λ = 0.2, for each of two variants


@dataclass(frozen=True)
class Judged:
    """One model's judged answers to some instructions; arrays of one length."""

    instruction: NDArray[np.intp]  # the number of each
    preference: FloatArray  # from 0 to 1
    longer: FloatArray  # characters of the reference's answer less those of the model's own

    def take(self, index: NDArray[np.intp]) -> Judged:
        """Some of them, perhaps several times."""
        return Judged(self.instruction[index], self.preference[index], self.longer[index])


@dataclass(frozen=True)
class Known:
    """What the authors fitted once: an entry for each instruction, judged or not."""

    instruction: NDArray[np.intp]  # (m,) the numbers, rising
    difficulty: FloatArray  # (m,)
    gamed_preference: FloatArray  # (m, 2) of the reference's two variants
    gamed_longer: FloatArray  # (m, 2) their standardised differences in length


@dataclass(frozen=True, slots=True)
class WinRate:
    """A length-controlled win rate, from 0 to 1."""

    win_rate: float
    standard_error: float  # of the mean prediction, as the authors have it
    effects: tuple[float, ...]  # of length, difficulty and the model itself


class Controlled:
    """The authors' model of one model's answers, and the same refitted on resamples of them."""

    def __init__(self, judged: Judged, known: Known) -> None:
        scale = judged.longer.std(ddof=1)
        self._at = np.searchsorted(known.instruction, judged.instruction)
        self._known, self._difficulty = len(known.difficulty), known.difficulty[self._at]
        lengths = np.tanh(known.gamed_longer.T.ravel())
        twice = np.tile(known.difficulty, 2)
        gamed = np.column_stack([lengths, twice, np.zeros(len(twice))])
        own = np.column_stack(
            [np.tanh(judged.longer / scale if scale else judged.longer),
             self._difficulty, np.ones(len(judged.preference))]
        )  # fmt: skip
        self._design = np.vstack([gamed, own])
        self._target = np.concatenate([known.gamed_preference.T.ravel(), judged.preference])
        self._weight = np.repeat([GAMED_WEIGHT, 1.0], [len(gamed), len(own)])
        self._penalty, self._effects = cross_validated(self._design, self._target, self._weight)

    @property
    def whole(self) -> WinRate:
        """The win rate of all answers."""
        chance = self._predicted(self._effects, self._difficulty)
        error = float(chance.std(ddof=1) / np.sqrt(len(chance)))
        return WinRate(float(chance.mean()), error, tuple(map(float, self._effects)))

    def win_rate(self, index: NDArray[np.intp]) -> float:
        """The win rate of a resample, fitted with the penalty chosen on all answers.

        The reference's variants are drawn with their instruction.
        """
        own = np.bincount(index, minlength=len(self._difficulty)).astype(float)
        gamed = np.ones(self._known)
        gamed[self._at] = own
        weight = self._weight * np.concatenate([gamed, gamed, own])
        effects = lasso(self._design, self._target, weight, self._penalty, self._effects)
        return float(self._predicted(effects, self._difficulty[index]).mean())

    @staticmethod
    def _predicted(effects: FloatArray, difficulty: FloatArray) -> FloatArray:
        return logistic(effects[1] * difficulty + effects[2])
