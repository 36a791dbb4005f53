"""What must hold of every input, not only of the cases someone thought of."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from evalkit.stats.cell import Estimate
from evalkit.stats.decision import PASSING, Decision, decide_cell
from evalkit.stats.distributions import t_quantile
from evalkit.stats.domains import domain_mean, weighted_mean
from evalkit.stats.estimate import estimate
from evalkit.stats.families import benjamini_hochberg, holm, regression_family
from evalkit.stats.intervals import quasi_tango_ci, tango_ci, tango_statistic, wilson_ci
from evalkit.stats.pvalues import mcnemar_midp, sign_flip
from evalkit.stats.samples import pass_at_k, pass_hat_k
from tests import oracles

reproducible = settings(max_examples=60, deadline=None, derandomize=True)

Differences = NDArray[np.float64]

counts = st.integers(2, 2_000).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda gained: st.tuples(st.just(gained), st.integers(0, n - gained), st.just(n))
    )
)
sixteenths = st.lists(st.integers(-16, 16), min_size=2, max_size=90).map(
    lambda steps: np.array(steps) / 16
)
continuous = st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=90).map(np.array)
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def limits(gained: int, lost: int, n: int) -> tuple[float, float]:
    lower, upper = tango_ci(gained, lost, n)
    return float(lower), float(upper)


@reproducible
@given(counts)
def test_swapping_the_arms_mirrors_the_tango_interval(cell: tuple[int, int, int]) -> None:
    gained, lost, n = cell
    lower, upper = limits(gained, lost, n)
    assert limits(lost, gained, n) == pytest.approx((-upper, -lower), abs=1e-12)


@reproducible
@given(counts)
def test_the_tango_interval_holds_the_estimate_and_has_width(cell: tuple[int, int, int]) -> None:
    gained, lost, n = cell
    lower, upper = limits(gained, lost, n)
    assert -1 <= lower <= (gained - lost) / n <= upper <= 1
    assert upper - lower > 1 / (2 * n)


@reproducible
@given(counts)
def test_one_more_lost_item_never_makes_things_look_better(cell: tuple[int, int, int]) -> None:
    gained, lost, n = cell
    assume(gained + lost < n)
    before, after = limits(gained, lost, n), limits(gained, lost + 1, n)
    assert after[0] < before[0]
    assert after[1] < before[1]
    assert mcnemar_midp(gained, lost + 1) <= mcnemar_midp(gained, lost)


@reproducible
@given(counts, st.lists(st.floats(-0.99, 0.99), min_size=2, max_size=20, unique=True))
def test_the_statistic_falls_as_the_hypothesis_rises(
    cell: tuple[int, int, int], hypotheses: list[float]
) -> None:
    statistic = tango_statistic(*cell, sorted(hypotheses))
    assert np.all(np.diff(statistic) <= 1e-9)


@reproducible
@given(counts)
def test_a_higher_confidence_widens_the_interval(cell: tuple[int, int, int]) -> None:
    narrow, wide = tango_ci(*cell, conf=0.90), tango_ci(*cell, conf=0.99)
    assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@reproducible
@given(st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.0, 1.0]), min_size=3, max_size=200))
def test_one_sample_per_item_gives_tango_but_for_the_critical_value(d: list[float]) -> None:
    lower, upper = quasi_tango_ci(d)
    critical = float(t_quantile(0.95, len(d) - 1))
    for limit, expected in ((lower, critical), (upper, -critical)):
        if abs(limit) < 0.998:  # else the bracket ended before the statistic got there
            statistic = tango_statistic(d.count(1.0), d.count(-1.0), len(d), limit)
            assert statistic == pytest.approx(expected, rel=1e-6)


@reproducible
@given(st.one_of(sixteenths, continuous))
def test_a_fractional_estimate_mirrors_and_has_width(d: Differences) -> None:
    found, mirrored = estimate(d, binary=False), estimate(-d, binary=False)
    assert mirrored.delta == pytest.approx(-found.delta, abs=1e-12)
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-found.upper, -found.lower))
    assert mirrored.p_regressed == found.p_improved
    assert found.lower <= found.delta + 1e-9
    assert found.delta - 1e-9 <= found.upper
    assert found.se > 0
    assert 0 <= found.p_regressed <= 1
    assert 0 <= found.p_improved <= 1


@reproducible
@given(continuous, st.integers(0, 1_000))
def test_the_order_of_the_items_does_not_matter(d: Differences, seed: int) -> None:
    shuffled = random.Random(seed).sample(d.tolist(), d.size)
    one, other = estimate(d, binary=False), estimate(shuffled, binary=False)
    for name in ("delta", "lower", "upper", "p_regressed", "p_improved"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9)


@reproducible
@given(sixteenths, st.integers(1, 12))
def test_the_order_and_names_of_clusters_do_not_matter(d: Differences, size: int) -> None:
    labels = [i // size for i in range(d.size)]
    assume(len(set(labels)) > 1)
    one = estimate(d, binary=False, clusters=labels, lattice=16)
    renamed = [f"passage {99 - label:02}" for label in labels][::-1]
    other = estimate(d[::-1], binary=False, clusters=renamed, lattice=16)
    assert one.se > 0
    for name in ("delta", "lower", "upper", "p_regressed"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9)


@reproducible
@given(st.integers(0, 60), st.integers(0, 60))
def test_mid_p_is_that_of_whole_numbers(gained: int, lost: int) -> None:
    found = float(mcnemar_midp(gained, lost))
    assert found == pytest.approx(oracles.mcnemar_midp(gained, lost), rel=1e-9)
    assert found + float(mcnemar_midp(lost, gained)) == pytest.approx(1.0)


@reproducible
@given(st.lists(st.integers(-12, 12), min_size=1, max_size=10))
def test_the_exact_sign_flip_is_that_of_all_signs(steps: list[int]) -> None:
    d = np.array(steps) / 12
    assert sign_flip(d, 12) == pytest.approx(oracles.sign_flip(d.tolist()))


@reproducible
@given(p_values)
def test_holm_keeps_the_order_and_never_lowers_a_p(p: list[float]) -> None:
    adjusted = holm(p)
    assert np.all(adjusted >= p)
    assert np.all(adjusted <= 1)
    assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)
    assert np.all(benjamini_hochberg(p) <= adjusted + 1e-12)


@reproducible
@given(p_values, st.integers(0, 11))
def test_a_smaller_p_never_raises_another_adjusted_p(p: list[float], at: int) -> None:
    smaller = [value / 2 if i == at % len(p) else value for i, value in enumerate(p)]
    assert np.all(holm(smaller) <= holm(p) + 1e-12)


@reproducible
@given(st.lists(p_values, min_size=1, max_size=7))
def test_a_cell_is_never_surer_than_its_domain(p: list[list[float]]) -> None:
    found = regression_family(p, [[0.02] * len(row) for row in p])
    for domain, cells in zip(found.p_domain_adjusted, found.p_cell_adjusted, strict=True):
        assert 0 <= domain <= 1
        assert all(domain <= cell <= 1 for cell in cells)


@reproducible
@given(st.lists(p_values, min_size=1, max_size=7))
def test_a_domain_that_could_not_be_measured_only_makes_the_family_stricter(
    p: list[list[float]],
) -> None:
    se = [[0.02] * len(row) for row in p]
    alone = regression_family(p, se).p_domain_adjusted
    beside = regression_family([*p, [1.0, 1.0]], [*se, [np.inf, np.inf]]).p_domain_adjusted
    assert beside[-1] == 1.0
    assert all(more >= less for less, more in zip(alone, beside[:-1], strict=True))


@reproducible
@given(st.lists(counts, min_size=2, max_size=6), st.integers(0, 1_000))
def test_a_domain_mean_lies_among_its_cells(cells: list[tuple[int, int, int]], seed: int) -> None:
    parts = [of_counts(cell) for cell in cells]
    mean = domain_mean(parts)
    deltas = [part.delta for part in parts]
    assert min(deltas) - 1e-12 <= mean.delta <= max(deltas) + 1e-12
    assert mean.lower < mean.upper
    assert mean.se <= max(part.se for part in parts)
    again = weighted_mean(random.Random(seed).sample(parts, len(parts)))
    assert (again.lower, again.upper) == pytest.approx((mean.lower, mean.upper))


@reproducible
@given(counts, st.floats(0, 0.2), st.floats(0, 0.2), st.floats(0, 1), st.floats(0, 1))
def test_every_verdict_says_no_more_than_its_numbers(
    cell: tuple[int, int, int], margin: float, more: float, p_regressed: float, p_improved: float
) -> None:
    found = of_counts(cell)
    decision = decide_cell(found, margin, p_regressed, p_improved)
    if decision.verdict in PASSING:
        assert found.lower > -margin or found.lower > 0
        wider = decide_cell(found, margin + more, p_regressed, p_improved)
        assert wider.verdict in PASSING
    if decision.verdict == "regressed":
        assert found.upper < 0
        assert p_regressed <= 0.05
    if "beyond_margin" in decision.flags:
        assert found.upper < -margin


@reproducible
@given(counts, st.floats(0, 1), st.floats(0, 1))
def test_without_a_margin_nothing_passes_as_unchanged(
    cell: tuple[int, int, int], p_regressed: float, p_improved: float
) -> None:
    for margin in (None, 0.0):
        decision: Decision = decide_cell(of_counts(cell), margin, p_regressed, p_improved)
        assert decision.verdict != "no_regression"


@reproducible
@given(
    st.integers(1, 64).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))
    )
)
def test_pass_at_k_brackets_the_average(counts: tuple[int, int, int]) -> None:
    n, correct, k = counts
    some, every = float(pass_at_k(n, correct, k)), float(pass_hat_k(n, correct, k))
    assert every <= correct / n + 1e-12
    assert correct / n <= some + 1e-12
    exact = 1 - Fraction(oracles.choose(n - correct, k), oracles.choose(n, k))
    assert some == pytest.approx(float(exact), abs=1e-12)


@reproducible
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_in_range(score: tuple[int, int]) -> None:
    x, n = score
    lower, upper = map(float, wilson_ci(x, n))
    assert 0 <= lower <= x / n + 1e-12
    assert x / n - 1e-12 <= upper <= 1
    assert upper - lower > 0


def of_counts(cell: tuple[int, int, int]) -> Estimate:
    gained, lost, n = cell
    return estimate([1] * gained + [-1] * lost + [0] * (n - gained - lost), binary=True)
