"""Logistic regression of shares under an L1 penalty, as AlpacaEval's authors fit it.

The penalty is chosen by scikit-learn's cross-validation; resamples are fitted by Newton's method
from the whole fit, which is a thousand times faster, and by scikit-learn where that fails.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import EvalkitError
from evalkit.stats.distributions import FloatArray
from evalkit.stats.weighted_logistic import logistic

FOLDS, SEED = 5, 123
ITERATIONS = 100


def lasso(
    design: FloatArray, target: FloatArray, weight: FloatArray, c: float, start: FloatArray
) -> FloatArray:
    """Minimises |β|₁ + cΣw·logloss by Newton's method on the effects that are not 0 at the start.

    Where a sign does not hold, or an effect that is 0 would not stay so, scikit-learn does it.
    """
    active, sign = start != 0, np.sign(start)
    beta = start.copy()
    for _ in range(ITERATIONS):
        chance = logistic(design @ beta)
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
    return by_sklearn(design, target, weight, c)


def cross_validated(
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


def by_sklearn(design: FloatArray, target: FloatArray, weight: FloatArray, c: float) -> FloatArray:
    """The same minimum by scikit-learn, to its own tolerance."""
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


def _sklearn() -> tuple[Any, Any]:
    try:
        import sklearn
        from sklearn import linear_model
    except ImportError:
        raise EvalkitError(
            "length-controlled win rates need scikit-learn: pip install 'posttrain-evalkit[judge]'"
        ) from None
    return sklearn, linear_model
