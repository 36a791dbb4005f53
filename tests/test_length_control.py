"""Length-controlled win rates: the authors' recipe, refits of resamples, and difficulties anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalkit.stats.difficulties import refitted
from evalkit.stats.lasso import by_sklearn, lasso
from evalkit.stats.length_control import Controlled, Judged, Known

N = 300
Floats = NDArray[np.float64]


def made(seed: int, skill: float, taste: float = -1.6, wordy: float = 0.0) -> tuple[Judged, Known]:
    """A model of known skill, judged by a judge of known taste for length."""
    random = np.random.default_rng(7)  # the instructions are the same for every model
    difficulty = random.normal(size=N)
    variants = np.column_stack([random.normal(-0.7, 1, N), random.normal(1.2, 1, N)])
    chance = logistic(taste * np.tanh(variants) + difficulty[:, None])
    known = Known(np.arange(N), difficulty, chance, variants)
    own = np.random.default_rng(seed)
    longer = own.normal(-wordy, 1, N) * 500
    z = taste * np.tanh(longer / longer.std(ddof=1)) + difficulty + skill
    preference = np.clip((own.random(N) < logistic(z)) * 0.98 + own.random(N) * 0.02, 0, 1)
    return Judged(np.arange(N), preference, longer), known


def logistic(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-z)))


def by_recipe(judged: Judged, known: Known) -> Floats:
    """The authors' recipe step by step, as an oracle."""
    import sklearn
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import GroupKFold

    zeros, ones = np.zeros(N), np.ones(N)
    scaled = judged.longer / judged.longer.std(ddof=1)
    y = np.concatenate([*known.gamed_preference.T, judged.preference])
    length = np.tanh(np.concatenate([*known.gamed_longer.T, scaled]))
    own, weight = np.concatenate([zeros, zeros, ones]), np.repeat([0.1, 0.1, 1.0], N)
    x = np.tile(np.column_stack([length, np.tile(known.difficulty, 3), own]), (2, 1))
    label, group = np.repeat([1, 0], 3 * N), np.tile(np.arange(3 * N), 2)
    share, weight = np.concatenate([y, 1 - y]), np.tile(weight, 2)

    def loss(truth: Any, p: Any, share: Any, weight: Any) -> float:
        y = np.where(truth == 1, share, 1 - share)
        return -float(np.mean(weight * (y * np.log(p) + (1 - y) * np.log(1 - p))))

    with sklearn.config_context(enable_metadata_routing=True):
        score = make_scorer(loss, response_method="predict_proba", greater_is_better=False)
        model = LogisticRegressionCV(
            cv=GroupKFold(5), scoring=score.set_score_request(share=True, weight=True),
            l1_ratios=(1.0,), solver="liblinear", fit_intercept=False, random_state=123,
            use_legacy_attributes=False,
        ).set_fit_request(sample_weight=True)  # fmt: skip
        model.fit(x, label, sample_weight=share * weight, groups=group, share=share, weight=weight)
    return np.asarray(model.coef_[0], dtype=float)


def test_it_is_the_authors_recipe() -> None:
    for seed, skill in ((1, -2.0), (2, 0.5)):
        judged, known = made(seed, skill)
        found = Controlled(judged, known).whole
        effects = by_recipe(judged, known)
        assert found.effects == pytest.approx(effects, abs=1e-12)
        chance = logistic(effects[1] * known.difficulty + effects[2])
        assert found.win_rate == pytest.approx(chance.mean(), abs=1e-12)
        assert found.standard_error == pytest.approx(chance.std(ddof=1) / N**0.5, abs=1e-12)


def test_length_that_pays_is_taken_out() -> None:
    """Two models of one skill, one of them wordy: the judge's taste makes the raw difference."""
    (brief, known), (wordy, _) = made(3, -1.0), made(3, -1.0, wordy=1.5)
    raw = wordy.preference.mean() - brief.preference.mean()
    assert raw > 0.05
    fair = Controlled(wordy, known).whole.win_rate - Controlled(brief, known).whole.win_rate
    assert abs(fair) < 0.3 * raw


def test_a_refit_of_every_answer_once_is_the_fit_itself() -> None:
    judged, known = made(4, -1.0)
    found = Controlled(judged, known)
    assert found.win_rate(np.arange(N)) == pytest.approx(found.whole.win_rate, abs=2e-4)


def test_a_refit_of_a_resample_is_a_fit_of_its_rows() -> None:
    judged, known = made(5, -1.0)
    drawn = np.random.default_rng(0).integers(0, N, N)
    one = Controlled(judged, known)
    scale = judged.longer.std(ddof=1)
    rows = np.column_stack([np.tanh(judged.longer / scale), known.difficulty, np.ones(N)])[drawn]
    variants = np.column_stack(
        [np.tanh(known.gamed_longer.T.ravel()), np.tile(known.difficulty, 2), np.zeros(2 * N)]
    )
    times = np.bincount(drawn, minlength=N).astype(float)
    design = np.vstack([rows, variants])
    target = np.concatenate([judged.preference[drawn], known.gamed_preference.T.ravel()])
    weight = np.concatenate([np.ones(N), np.tile(0.1 * times, 2)])
    effects = lasso(design, target, weight, one._penalty, one._effects)
    expected = logistic(effects[1] * known.difficulty[drawn] + effects[2]).mean()
    assert one.win_rate(drawn) == pytest.approx(expected, abs=1e-9)


def test_newton_finds_what_scikit_learn_finds_and_more_exactly() -> None:
    random = np.random.default_rng(2)
    design = random.normal(size=(400, 3))
    target, weight = random.random(400), random.random(400)
    for c in (0.05, 1.0, 100.0):
        slow = by_sklearn(design, target, weight, c)
        quick = lasso(design, target, weight, c, slow)
        assert quick == pytest.approx(slow, abs=2e-2)
        assert objective(design, target, weight, c, quick) <= (
            objective(design, target, weight, c, slow) + 1e-9
        )


def objective(design: Floats, target: Floats, weight: Floats, c: float, beta: Floats) -> float:
    z = design @ beta
    return float(np.abs(beta).sum() + c * (weight * (np.logaddexp(0, z) - target * z)).sum())


def test_an_effect_that_does_not_keep_its_sign_is_left_to_scikit_learn() -> None:
    random = np.random.default_rng(3)
    design = random.normal(size=(200, 2))
    target, weight = logistic(design @ np.array([2.0, -1.0])), np.ones(200)
    found = lasso(design, target, weight, 1.0, np.array([-1.0, 1.0]))
    assert found[0] > 0 > found[1]


def test_difficulties_are_fitted_anew_to_the_cells_there_are() -> None:
    """Of eight models with one judge the win rates come out as with the true difficulties."""
    skills = [-3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5]
    cells = [made(10 + i, skill) for i, skill in enumerate(skills)]
    truth = [float(logistic(cells[0][1].difficulty + skill).mean()) for skill in skills]
    found = refitted([judged for judged, _ in cells])
    assert found == pytest.approx(truth, abs=0.05)
    assert found == sorted(found)


def test_the_refit_is_a_maximum_of_its_posterior() -> None:
    from evalkit.stats.difficulties import (
        DIFFICULTY_PENALTY,
        LENGTH_EFFECT,
        LENGTH_PRECISION,
        _posterior,
    )

    judged = [made(i, -1.0)[0] for i in (21, 22)]
    row = np.concatenate([each.instruction for each in judged])
    model = np.repeat([0, 1], N)
    x = np.concatenate([np.tanh(each.longer / each.longer.std(ddof=1)) for each in judged])
    y = np.concatenate([each.preference for each in judged])
    length, own, difficulty = _posterior(row, model, x, y)
    p = logistic(length[model] * x + own[model] + difficulty[row])
    slope = np.bincount(model, (y - p) * x) - LENGTH_PRECISION * (length - LENGTH_EFFECT)
    assert slope == pytest.approx([0, 0], abs=1e-6)
    assert np.bincount(model, y - p) == pytest.approx([0, 0], abs=1e-6)
    lean = np.bincount(row, y - p) - DIFFICULTY_PENALTY * difficulty
    assert np.abs(lean).max() < 1e-6


def test_answers_that_are_all_lost_or_of_one_length_have_a_win_rate() -> None:
    judged, known = made(6, -1.0)
    lost = Judged(judged.instruction, np.zeros(N), np.zeros(N))
    assert 0 <= Controlled(lost, known).whole.win_rate < 0.1
    assert 0 <= refitted([lost])[0] < 0.05
