"""Early looks spend no more error than was planned."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.stats.boundaries import boundaries, obrien_fleming
from evalkit.stats.sequential import (
    Look,
    decide_look,
    item_order,
    look_count,
    merged,
    post_stratified,
    strata_of,
)


def test_the_whole_error_is_spent_at_the_end() -> None:
    assert obrien_fleming(1.0, 0.05) == pytest.approx(0.05)
    assert 0 < obrien_fleming(0.1, 0.05 / 7) < 1e-15


def test_a_walk_crosses_the_boundaries_as_often_as_planned() -> None:
    times = np.arange(1, 6) / 5
    steps = np.random.default_rng(1).standard_normal((200_000, 5)) * np.sqrt(0.2)
    z = steps.cumsum(axis=1) / np.sqrt(times)
    crossed = (z >= boundaries(times.tolist(), 0.05)).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=0.0015)


def test_a_look_without_new_information_cannot_stop_the_run() -> None:
    bounds = boundaries([0.5, 0.5, 1.0], 0.05)
    assert bounds[1] == float("inf")
    assert [bounds[0], bounds[2]] == pytest.approx(boundaries([0.5, 1.0], 0.05))


def test_a_first_look_so_early_that_nothing_can_be_spent_is_harmless() -> None:
    bounds = boundaries([1e-4, 0.5, 1.0], 0.05)
    assert bounds[0] == float("inf")
    assert bounds[1:] == pytest.approx(boundaries([0.5, 1.0], 0.05), abs=1e-4)


def test_a_full_look_without_strata_is_the_plain_variance_of_the_mean() -> None:
    look = post_stratified(strata_of([500], [500], [-10], [100]), 500)
    second = (100 + 3 * 0.2) / 503
    assert look.delta == -0.02
    assert look.variance == pytest.approx((second - 0.02**2) / 500)
    assert look.information == pytest.approx(1.0)


def test_knowledge_grows_with_the_items_seen() -> None:
    early = post_stratified(strata_of([300, 300], [60, 60], [-2, 3], [10, 11]), 600)
    later = post_stratified(strata_of([300, 300], [240, 240], [-8, 12], [40, 44]), 600)
    assert early.variance > later.variance > later.final_variance
    assert early.information < later.information < 1


def test_starved_strata_join_their_neighbours() -> None:
    strata = merged(strata_of([10, 20, 30, 40], [1, 5, 6, 1], [0, -1, 1, 0], [0, 1, 3, 0]))
    assert strata.size.tolist() == [30, 70]
    assert strata.seen.tolist() == [6, 7]
    assert strata.total.tolist() == [-1, 1]
    whole = merged(strata_of([10, 20], [5, 5], [0, 0], [0, 0]))
    assert whole.size.tolist() == [10, 20]


def test_a_pass_is_looked_for_before_a_regression() -> None:
    look = Look(delta=-0.01, variance=1e-6, final_variance=1e-6)
    assert decide_look(look, 0.03, 1.7, 2.5, last=True) == "no_regression"


def test_half_a_margin_is_no_regression_before_the_last_look() -> None:
    look = Look(delta=-0.015, variance=2.5e-5, final_variance=1e-5)
    assert decide_look(look, 0.02, 1.7, 2.5, last=False) == "continue"
    assert decide_look(look, 0.02, 1.7, 2.5, last=True) == "regressed"
    deeper = Look(delta=-0.03, variance=2.5e-5, final_variance=1e-5)
    assert decide_look(deeper, 0.02, 1.7, 2.5, last=False) == "regressed"


def test_the_order_of_items_is_fixed_by_the_seed_and_spreads_every_stratum() -> None:
    strata = {"a": [f"a{i}" for i in range(10)], "b": [f"b{i}" for i in range(30)]}
    order = item_order(strata, seed=3)
    assert order == item_order({"b": strata["b"][::-1], "a": strata["a"]}, seed=3)
    assert order != item_order(strata, seed=4)
    assert sorted(order) == sorted([*strata["a"], *strata["b"]])
    for start in range(0, 40, 8):
        assert sum(item.startswith("a") for item in order[start : start + 8]) == 2


def test_small_benchmarks_have_fewer_looks() -> None:
    assert (look_count(541), look_count(600)) == (5, 10)
