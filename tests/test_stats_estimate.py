"""Which interval is chosen, and the designs beyond paired items."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.stats.clusters import cluster_se
from evalkit.stats.designs import bootstrap, fixed_exam, seeds, stratified, unpaired
from evalkit.stats.distributions import critical_value, t_quantile
from evalkit.stats.domains import domain_mean, pooled
from evalkit.stats.estimate import estimate
from evalkit.stats.intervals import quasi_tango_ci
from evalkit.stats.missing import missing_bounds
from evalkit.stats.pvalues import paired_t, sign_flip
from evalkit.stats.scales import orient
from tests import oracles

RANDOM = np.random.default_rng(7)
FLIPS = [1.0] * 20 + [-1.0] * 35 + [0.0] * 486
FOURTHS = (RANDOM.integers(-2, 3, 80) / 4).tolist()


def test_binary_scores_get_tango_and_mid_p() -> None:
    found = estimate(FLIPS, binary=True)
    assert found.method == "tango"
    assert found.n == 541
    assert found.p_regressed == pytest.approx(oracles.mcnemar_midp(20, 35))
    assert found.se == pytest.approx((found.upper - found.lower) / (2 * critical_value(0.90)))


def test_fractional_scores_get_quasi_tango_and_t() -> None:
    found = estimate(FOURTHS, binary=False)
    assert found.method == "quasi_tango"
    assert found.p_regressed == paired_t(FOURTHS)[1]


def test_few_items_are_also_tested_by_their_signs() -> None:
    few = FOURTHS[:40]
    expected = max(paired_t(few)[1], sign_flip(few, 4))
    assert estimate(few, binary=False, lattice=4).p_regressed == expected


def test_scores_that_are_not_binary_are_refused_as_such() -> None:
    with pytest.raises(ValueError, match="binary"):
        estimate([0.5, 1.0, 0.0], binary=True)


@pytest.mark.parametrize("clusters", [None, ["a", "a"]])
def test_one_independent_unit_is_no_estimate(clusters: list[str] | None) -> None:
    differences = [0.5] if clusters is None else [0.5, 0.0]
    with pytest.raises(ValueError, match="at least two"):
        estimate(differences, binary=False, clusters=clusters)


def test_every_item_needs_a_cluster() -> None:
    with pytest.raises(ValueError, match="cluster"):
        estimate(FOURTHS, binary=False, clusters=["a", "b"])


def test_clusters_of_one_item_are_no_clusters() -> None:
    alone = [str(i) for i in range(len(FLIPS))]
    assert estimate(FLIPS, binary=True, clusters=alone) == estimate(FLIPS, binary=True)


def test_equal_clusters_are_judged_by_their_means() -> None:
    means = np.reshape(FOURTHS, (40, 2)).mean(axis=1)
    found = estimate(FOURTHS, binary=False, clusters=[i // 2 for i in range(80)], lattice=4)
    expected = estimate(means, binary=False, lattice=8)
    assert (found.method, found.n, found.flags) == ("cluster", 40, ())
    assert (found.lower, found.upper) == (expected.lower, expected.upper)
    assert found.p_regressed == expected.p_regressed


def test_unequal_clusters_get_a_clustered_error_and_t() -> None:
    labels = [i // 2 for i in range(78)] + [38, 38]
    found = estimate(FOURTHS, binary=False, clusters=labels)
    se = oracles.cluster_se(FOURTHS, labels, corrected=True)
    reach = float(t_quantile(0.95, 38)) * se
    assert found.upper == pytest.approx(found.delta + reach)
    assert found.n == 39
    assert found.se == pytest.approx((found.upper - found.lower) / (2 * critical_value(0.90)))


def test_unequal_clusters_are_never_surer_than_their_totals() -> None:
    """A Wald interval says too much where few changes carry it: 2 of 60 items, one asked twice."""
    change = np.zeros(60)
    change[[3, 7]] = -1.0
    labels = [0, 0, *range(1, 59)]
    found = estimate(change, binary=True, clusters=labels)
    totals = np.bincount(labels, weights=change) * 59 / 60
    lower, upper = map(float, quasi_tango_ci(totals))
    assert (found.lower, found.upper) == pytest.approx((lower, upper))
    wald = float(t_quantile(0.95, 58)) * oracles.cluster_se(change.tolist(), labels, corrected=True)
    assert found.delta - found.lower > 1.3 * wald


def test_few_or_dominant_clusters_are_flagged_and_tested_by_their_signs() -> None:
    few = [min(i // 5, 9) for i in range(80)]
    found = estimate(FOURTHS, binary=False, clusters=few, lattice=4)
    totals = np.bincount(few, weights=FOURTHS)
    assert found.flags == ("few_clusters",)
    assert found.p_regressed >= sign_flip(totals, 4)
    dominant = [0] * 20 + list(range(1, 61))
    assert estimate(FOURTHS, binary=False, clusters=dominant).flags == ("few_clusters",)


@pytest.mark.parametrize("binary", [True, False])
def test_an_unchanged_cell_is_never_certain(binary: bool) -> None:
    found = estimate([0.0] * 30, binary=binary)
    assert -0.1 < found.lower < -0.08
    assert found.upper == pytest.approx(-found.lower)
    assert found.p_regressed == found.p_improved == 0.5


@pytest.mark.parametrize("d", [[0.0] * 8, [-0.5] * 8, [1.0, -1.0, 0.5, -0.5, 0.0, 0.0, 0.0, 0.0]])
def test_clusters_without_spread_are_never_certain(d: list[float]) -> None:
    found = estimate(d, binary=False, clusters=[0, 0, 1, 1, 1, 1, 2, 2])
    assert cluster_se(d, [0, 0, 1, 1, 1, 1, 2, 2]) == 0.0
    assert found.delta == pytest.approx(np.mean(d))
    assert found.lower < found.delta < found.upper


def test_every_item_lost_is_an_interval_up_to_the_end() -> None:
    found = estimate([-1.0] * 20, binary=True)
    assert (found.delta, found.lower) == (-1.0, -1.0)
    assert -1.0 < found.upper < -0.7
    fractional = estimate([-1.0] * 20, binary=False, lattice=1)
    assert fractional.lower == -1.0
    assert fractional.p_regressed == pytest.approx(2.0**-20)


def test_differences_off_the_lattice_are_tested_by_random_signs() -> None:
    d = RANDOM.normal(-0.05, 0.2, 12).round(3)
    exact, random = sign_flip(d, 1000), sign_flip(d, 4)
    assert random == sign_flip(d)
    assert exact == pytest.approx(oracles.sign_flip(d.tolist()))
    assert random == pytest.approx(exact, abs=0.02)


def test_random_signs_give_the_same_p_each_time() -> None:
    d = RANDOM.normal(0, 0.2, 30)
    assert sign_flip(d) == sign_flip(d[::-1])


def test_a_benchmark_of_one_stratum_is_that_stratum() -> None:
    part = estimate(FLIPS, binary=True)
    whole = stratified([part], [3.0])
    assert (whole.lower, whole.upper) == pytest.approx((part.lower, part.upper))


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0]])
def test_impossible_weights_are_refused(weights: list[float]) -> None:
    part = estimate(FLIPS, binary=True)
    with pytest.raises(ValueError, match="weights"):
        stratified([part, part], weights)


def test_a_domain_of_one_cell_is_that_cell() -> None:
    part = estimate(FLIPS, binary=True)
    assert domain_mean([part]) is part


def test_pooling_prefers_the_precise_cell() -> None:
    large, small = estimate(FLIPS, binary=True), estimate([1.0] * 5 + [0.0] * 25, binary=True)
    both = pooled([large, small])
    assert both.se < min(large.se, small.se)
    assert abs(both.delta - large.delta) < abs(both.delta - small.delta)
    assert both.lower == pytest.approx(both.delta - critical_value(0.90) * both.se)


def test_aggregates_are_flagged_and_never_certain() -> None:
    found = unpaired(1.0, 1.0, 30, 30)
    assert found.flags == ("unpaired",)
    assert found.se > 0
    given = unpaired(0.80, 0.77, 541, 541, se0=0.02, se1=0.02)
    assert given.se == pytest.approx(0.02 * np.sqrt(2))
    assert given.p_regressed == pytest.approx(1 - given.p_improved)


def test_a_fixed_exam_takes_fractional_scores_and_missing_answers() -> None:
    before = RANDOM.random((20, 4))
    after = RANDOM.random((20, 4))
    found = fixed_exam(before, after)
    variance = (before.var(axis=1, ddof=1) + after.var(axis=1, ddof=1)).sum() / 4 / 20**2
    assert found.se == pytest.approx(np.sqrt(variance))
    after[0, 1:] = np.nan
    assert fixed_exam(before, after).se > 0


def test_a_fixed_exam_that_never_varied_is_never_certain() -> None:
    found = fixed_exam(np.ones((10, 4)), np.zeros((10, 4)))
    assert found.delta == -1
    assert found.se > 0


def test_a_fixed_exam_needs_two_samples_per_item() -> None:
    with pytest.raises(ValueError, match="two samples"):
        fixed_exam([[1.0], [0.0]], [[1.0], [1.0]])


def test_seeds_that_agree_still_leave_the_items_uncertain() -> None:
    found = seeds([-0.01, -0.01, -0.01], 0.01, 500)
    assert found.se == pytest.approx(0.01, rel=0.01)
    assert found.lower < -0.01 < found.upper


def test_the_bootstrap_of_a_mean_is_near_its_normal_interval() -> None:
    d = RANDOM.normal(-0.02, 0.3, 400)
    found = bootstrap(lambda prompts: float(d[prompts].mean()), d.size)
    se = d.std(ddof=1) / 20
    assert found.se == pytest.approx(se, rel=0.1)
    assert found.lower == pytest.approx(d.mean() - 1.645 * se, abs=0.15 * se)
    assert found.p_regressed == pytest.approx(paired_t(d)[1], abs=0.03)
    assert found == bootstrap(lambda prompts: float(d[prompts].mean()), d.size)


def test_a_bootstrap_without_spread_is_never_certain() -> None:
    found = bootstrap(lambda prompts: 0.0, 100, resamples=50)
    assert found.lower < 0 < found.upper
    assert found.p_regressed == 0.5


def test_missing_samples_count_against_each_arm() -> None:
    nan = float("nan")
    bounds = missing_bounds([[1.0], [0.0], [1.0]], [[nan], [0.0], [1.0]])
    assert bounds.differences.tolist() == [0.0, 0.0]
    assert bounds.worst.tolist() == [-1.0, 0.0, 0.0]
    assert bounds.best.tolist() == [0.0, 0.0, 0.0]
    assert bounds.shares == pytest.approx((0.0, 1 / 3))
    assert bounds.too_many


def test_nothing_missing_leaves_nothing_open() -> None:
    bounds = missing_bounds([[1.0, 0.0]] * 3, [[0.0, 0.0]] * 3)
    assert bounds.differences.tolist() == bounds.worst.tolist() == bounds.best.tolist()
    assert not bounds.too_many


@pytest.mark.parametrize("bounds", [(0.0, float("inf")), (1.0, 1.0), (1.0, 0.0)])
def test_a_metric_without_bounds_has_no_scale(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="bounds"):
        orient([0.5], bounds)
