"""A fast gate on recorded answers errs as seldom and asks as little as it should, in short."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from benchmarks import fast_pairs
from benchmarks.simulate_fast_gate import (
    FOLDER,
    MARGIN,
    PLANNED,
    Design,
    Recorded,
    flip_rates,
    measure,
    recorded,
)

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="EVALKIT_DATA has no model_outputs/mmlu_pro"
)


@pytest.fixture(scope="module")
def found() -> Recorded:
    return recorded()


def test_candidates_flip_as_often_and_fall_as_far_as_they_should(found: Recorded) -> None:
    for loss in (0.0, MARGIN, 0.05):
        rate = flip_rates(found, loss, PLANNED)
        assert rate.mean() == pytest.approx(PLANNED)
        assert np.mean(rate * (1 - 2 * found.baseline)) == pytest.approx(-loss)


def test_errors_stay_near_five_percent(found: Recorded) -> None:
    rows = [Design(541, loss, False, True) for loss in (MARGIN, 0.0)]
    at_margin, unchanged = measure(found, rows, range(60), jobs=1)
    # 15 % is over three standard errors above 5 %
    assert at_margin.passed <= 0.15
    assert unchanged.regressed <= 0.15
    assert at_margin.regressed > unchanged.regressed


def test_few_items_tell_an_unchanged_model_and_fewer_a_broken_one(found: Recorded) -> None:
    rows = [Design(12_032, loss, True, True) for loss in (0.0, 0.05)]
    unchanged, broken = measure(found, rows, range(12), jobs=1)
    assert unchanged.passed >= 0.75
    assert unchanged.asked <= 0.30
    assert broken.regressed == 1.0
    assert broken.asked <= 0.13


def test_recorded_pairs_of_clusters_and_strata_are_told_right_in_any_order() -> None:
    """A pass and a regression are told apart as all items tell them, by fewer of them."""
    for pair in islice(fast_pairs.others(FOLDER.parents[1]), 3, None):
        weights = np.array([part.weight for part in pair.parts])
        deltas = [np.nanmean(part.scores[1] - part.scores[0]) for part in pair.parts]
        delta = float(weights @ deltas / weights.sum())
        for seed in range(3):
            found, asked = fast_pairs.looked(pair, fast_pairs.planned(pair, seed))
            assert asked <= 1.0
            assert found == ("no_regression" if delta > 0 else "regressed"), pair
