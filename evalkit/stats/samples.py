"""Scores of an item that was answered several times, and what their spread says about k."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.stats.distributions import FloatArray


@dataclass(frozen=True, slots=True)
class VarianceShares:
    """var(d) = ω² + s₀²/k₀ + s₁²/k₁: between items, and from sampling the answers."""

    omega2: float
    s0_squared: float
    s1_squared: float
    within_share: float  # what more samples per item could still remove


def pass_at_k(n: ArrayLike, correct: ArrayLike, k: int) -> FloatArray:
    """1 − C(n − c, k)/C(n, k): at least one of k answers is right (Chen 2021, arXiv:2107.03374)."""
    samples, right = np.broadcast_arrays(_counts(n, k), np.asarray(correct, dtype=float))
    none_right = np.ones(samples.shape)
    for j in range(k):  # C(n−c, k)/C(n, k) = Π (n−c−j)/(n−j), 0 once n−c−j is
        none_right = none_right * np.maximum(samples - right - j, 0.0) / (samples - j)
    return np.asarray(1.0 - none_right)


def pass_hat_k(n: ArrayLike, correct: ArrayLike, k: int) -> FloatArray:
    """pass^k = C(c, k)/C(n, k): all of k answers are right (Yao 2024, arXiv:2406.12045)."""
    samples, right = np.broadcast_arrays(_counts(n, k), np.asarray(correct, dtype=float))
    all_right = np.ones(samples.shape)
    for j in range(k):
        all_right = all_right * np.maximum(right - j, 0.0) / (samples - j)
    return np.asarray(all_right)


def average(samples: ArrayLike) -> FloatArray:
    """avg@k, an item's mean over its answers (items × samples, NaN where one is missing)."""
    return np.asarray(np.nanmean(np.asarray(samples, dtype=float), axis=-1))


def majority(answers: Sequence[Hashable | None], scores: Sequence[float]) -> float:
    """maj@k, the score of an item's most common answer; ties share it, unread answers have no vote.

    Wang et al. 2022, arXiv:2203.11171.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    score_of = dict(zip(answers, scores, strict=True))
    winners = [answer for answer, count in votes.items() if count == most]
    return sum(score_of[answer] for answer in winners) / len(winners)


def variance_shares(baseline: ArrayLike, candidate: ArrayLike) -> VarianceShares:
    """The parts of an item difference's variance, from binary samples (items × k) of two arms.

    s² = mean p̂(1 − p̂)k/(k − 1) (Miller 2024, arXiv:2411.00640); needs k ≥ 2 in both arms.
    """
    arms = [np.asarray(arm, dtype=float) for arm in (baseline, candidate)]
    if any(arm.shape[1] < 2 for arm in arms):
        raise ValueError("the share of sampling noise needs two samples per item, in both arms")
    s0, s1 = (float(arm.var(axis=1, ddof=1).mean()) for arm in arms)
    within = s0 / arms[0].shape[1] + s1 / arms[1].shape[1]
    total = float((arms[1].mean(axis=1) - arms[0].mean(axis=1)).var(ddof=1))
    share = min(1.0, within / total) if total > 0 else 0.0
    return VarianceShares(max(0.0, total - within), s0, s1, share)


def sampling_variances(
    baseline: FloatArray, candidate: FloatArray, labels: NDArray[np.intp] | None = None
) -> FloatArray:
    """How far each item's difference would move if it were answered anew: s₀²/k₀ + s₁²/k₁.

    Arrays of items × samples, NaN where one is missing; of items in clusters (`labels`, by number)
    the same of each cluster's total, since the j-th samples may be of one conversation.  What is
    left with one sample takes the mean variance of its arm; where nothing varied in either arm,
    shares are shrunk to (c + ½)/(k + 1).  Raises ValueError without two samples of anything.
    """
    arms = (baseline, candidate)
    found = np.sum([_variances(_totals(arm, labels)) for arm in arms], axis=0)
    if not found.any():
        smoothed = np.sum([_smoothed(arm) for arm in arms], axis=0)
        found = smoothed if labels is None else np.bincount(labels, smoothed)
    return np.asarray(found)


def _totals(samples: FloatArray, labels: NDArray[np.intp] | None) -> FloatArray:
    if labels is None:
        return samples
    totals = np.zeros((int(labels.max()) + 1, samples.shape[1]))
    np.add.at(totals, labels, samples)
    return totals


def _variances(samples: FloatArray) -> FloatArray:
    k = np.count_nonzero(~np.isnan(samples), axis=1)
    repeated = k > 1
    if not repeated.any():
        raise ValueError("a fixed exam needs two samples of its items, in both arms")
    found = np.zeros(len(samples))
    found[repeated] = np.nanvar(samples[repeated], axis=1, ddof=1)
    found[~repeated] = found[repeated].mean()
    return np.asarray(found / np.maximum(k, 1))


def _smoothed(samples: FloatArray) -> FloatArray:
    k = np.count_nonzero(~np.isnan(samples), axis=1)
    share = (np.nansum(samples, axis=1) + 0.5) / (k + 1)
    return np.asarray(share * (1 - share) / np.maximum(k - 1, 1))


def _counts(n: ArrayLike, k: int) -> FloatArray:
    samples = np.asarray(n, dtype=float)
    if k < 1 or np.any(samples < k):
        raise ValueError("k is between 1 and the number of answers")
    return samples
