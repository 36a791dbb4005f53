"""Length-controlled win rates: what a judge would prefer, were answers as long as the reference's.

Dubois et al. 2024, arXiv:2404.04475, as in tatsu-lab/alpaca_eval at cd543a1, `glm_winrate.py`: a
logistic model without intercept of the preference y ∈ [0, 1] on tanh(Δ/sd(Δ)), Δ being the
reference's length less the answer's in characters, on the instruction's difficulty, and on a
constant; the win rate is the mean prediction at Δ = 0.  Two variants of the reference itself,
a wordy and a terse one, are appended with a tenth of the weight each; they have no constant.

The authors fitted the difficulties once, on many models.  Where they are not at hand they are
fitted anew to the judged answers there are, as penalised effects: `refitted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import EvalkitError
from evalkit.stats.distributions import FloatArray

GAMED_WEIGHT = 0.1  # λ/2 with the authors' λ = 0.2, for each of two variants
FOLDS, SEED = 5, 123

DIFFICULTY_PENALTY = 0.2
"""1/variance of the difficulties that are fitted anew: the best of 0.1 to 1 by cross-validated
log-loss on ten published models."""

LENGTH_EFFECT, LENGTH_PRECISION = -1.613, 13.0
"""In place of the reference's variants: the mean of the effects that the authors publish for them
(-1.584 and -1.642), and the information that 2 × 805 answers with a tenth of the weight hold."""

ITERATIONS = 100


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
        self._penalty, self._effects = _cross_validated(self._design, self._target, self._weight)

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
        return _logistic(effects[1] * difficulty + effects[2])


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
    length, own, difficulty = _posterior(row, model, x, y)
    del length
    return [
        float(_logistic(own[m] + difficulty[row[model == m]]).mean()) for m in range(len(cells))
    ]


def lasso(
    design: FloatArray, target: FloatArray, weight: FloatArray, c: float, start: FloatArray
) -> FloatArray:
    """Minimises |β|₁ + cΣw·logloss by Newton's method on the effects that are not 0 at the start.

    Where a sign does not hold, or an effect that is 0 would not stay so, scikit-learn does it.
    """
    active, sign = start != 0, np.sign(start)
    beta = start.copy()
    for _ in range(ITERATIONS):
        chance = _logistic(design @ beta)
        gradient = c * (design.T @ (weight * (chance - target)))
        curvature = c * ((design.T * (weight * chance * (1 - chance))) @ design)
        step = np.zeros_like(beta)
        try:
            step[active] = np.linalg.solve(
                curvature[np.ix_(active, active)], (gradient + sign)[active]
            )
        except np.linalg.LinAlgError:
            break
        beta = beta - step
        if np.abs(step).max(initial=0.0) < 1e-9:
            stays = bool((np.abs(gradient[~active]) <= 1).all())
            if stays and bool((np.sign(beta) == sign).all()):
                return beta
            break
    return _by_sklearn(design, target, weight, c)


def _cross_validated(
    design: FloatArray, target: FloatArray, weight: FloatArray
) -> tuple[float, FloatArray]:
    """The authors' choice of the penalty and the effects under it."""
    sklearn, linear = _sklearn()
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import GroupKFold

    rows, label, share, counted = _doubled(design, target, weight)

    def log_loss(
        truth: FloatArray, chance: FloatArray, share: FloatArray, counted: FloatArray
    ) -> float:
        y = np.where(truth == 1, share, 1 - share)
        p = np.clip(chance, 1e-15, 1 - 1e-15)
        return float(-np.mean((y * np.log(p) + (1 - y) * np.log(1 - p)) * counted))

    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(log_loss, response_method="predict_proba", greater_is_better=False)
        model = linear.LogisticRegressionCV(
            cv=GroupKFold(FOLDS),
            scoring=scorer.set_score_request(share=True, counted=True),
            l1_ratios=(1.0,),
            solver="liblinear",
            fit_intercept=False,
            random_state=SEED,
            use_legacy_attributes=False,
        ).set_fit_request(sample_weight=True)
        groups = np.tile(np.arange(len(target)), 2)
        model.fit(
            rows, label, sample_weight=share * counted, groups=groups, share=share, counted=counted
        )
    return float(model.C_), np.asarray(model.coef_[0], dtype=float)


def _by_sklearn(design: FloatArray, target: FloatArray, weight: FloatArray, c: float) -> FloatArray:
    _, linear = _sklearn()
    rows, label, share, counted = _doubled(design, target, weight)
    model = linear.LogisticRegression(
        C=c, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=SEED
    )
    model.fit(rows, label, sample_weight=share * counted)
    return np.asarray(model.coef_[0], dtype=float)


def _doubled(
    design: FloatArray, target: FloatArray, weight: FloatArray
) -> tuple[FloatArray, NDArray[np.intp], FloatArray, FloatArray]:
    """Each answer once as won and once as lost, with the share of it that is either."""
    n = len(target)
    label = np.concatenate([np.ones(n, np.intp), np.zeros(n, np.intp)])
    share = np.concatenate([target, 1 - target])
    return np.vstack([design, design]), label, share, np.concatenate([weight, weight])


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
        chance = _logistic(features @ theta + difficulty[row])
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


def _logistic(z: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


def _sklearn() -> tuple[Any, Any]:
    try:
        import sklearn
        from sklearn import linear_model
    except ImportError:
        raise EvalkitError(
            "length-controlled win rates need scikit-learn: pip install 'posttrain-evalkit[judge]'"
        ) from None
    return sklearn, linear_model
