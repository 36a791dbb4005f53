"""The looks of a fast gate are planned before the first question, and decide as planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import StoreError
from evalkit.fast.caps import unit_caps
from evalkit.fast.kept import keep, kept
from evalkit.fast.looks import CellPlan, DomainPlan, Known, plan_domain
from evalkit.stats.boundaries import Boundary, boundaries
from evalkit.stats.clock import Clock, domain_look
from evalkit.stats.sequential import Look
from evalkit.stats.strata import merged_to, stratified


def ids(count: int, first: int = 0) -> list[bytes]:
    return [(first + i).to_bytes(16, "big") for i in range(count)]


def known(count: int, *, task: str = "t", earlier: int = 0, variance: float = 0.2) -> Known:
    random = np.random.default_rng(count)
    skill = random.random(count)
    baseline = (random.random(count) < skill).astype(float)
    history = (random.random((earlier, count)) < skill).astype(float)
    return Known(task, 1.0, [[item] for item in ids(count)], baseline, history, variance)


def test_without_history_the_baseline_alone_makes_the_strata() -> None:
    baseline = np.array([1.0] * 40 + [0.0] * 60)
    assert np.bincount(stratified(baseline, np.empty((2, 100)))).tolist() == [60, 40]


def test_three_earlier_checkpoints_split_each_side_by_difficulty() -> None:
    task = known(2000, earlier=3)
    labels = stratified(task.baseline, task.history)
    sizes = np.bincount(labels)
    assert 4 <= len(sizes) <= 8
    assert sizes.min() >= 30
    for label in range(len(sizes)):
        assert len(set(task.baseline[labels == label])) == 1
    hard = task.history[:, task.baseline == 1].mean(axis=0)
    of_right = labels[task.baseline == 1]
    means = [hard[of_right == label].mean() for label in np.unique(of_right)]
    assert means == sorted(means)


def test_a_small_stratum_joins_a_neighbour_of_its_own_side_first() -> None:
    labels = np.repeat([2, 3, 4, 5], [50, 10, 40, 45])
    assert np.bincount(merged_to(labels, 30)).tolist() == [60, 40, 45]


def test_a_side_too_small_to_stand_alone_joins_the_other() -> None:
    assert set(merged_to(np.repeat([0, 4], [200, 12]), 30).tolist()) == {0}
    assert set(merged_to(np.repeat([0, 4], [8, 12]), 30).tolist()) == {0}


def test_an_item_that_no_earlier_checkpoint_answered_counts_as_middling() -> None:
    history = np.tile(np.linspace(0, 1, 400), (3, 1))
    history[:, 0] = np.nan
    labels = stratified(np.ones(400), history)
    assert labels[0] not in (labels[1], labels[-1])


def test_a_single_cell_is_capped_by_the_formula() -> None:
    assert unit_caps([12_032], [1.0], [0.2], 0.02) == [5412]
    assert unit_caps([541], [3.0], [0.2], 0.02) == [541]


def test_cells_share_the_cap_by_weight_and_make_up_for_a_small_one() -> None:
    assert unit_caps([9000, 9000], [1.0, 3.0], [0.2, 0.2], 0.02) == [1353, 4059]
    small, large = unit_caps([2000, 12_032], [1.0, 1.0], [0.2, 0.2], 0.02)
    assert small == 2000
    variance = 0.25 * 0.2 / small + 0.25 * 0.2 / large
    assert variance == pytest.approx(0.2 / 5412, rel=1e-3)


def test_looks_are_equal_and_the_last_is_the_cap() -> None:
    plan = plan_domain("d", 0.02, [known(12_032)])
    asked = [plan.asked(look) for look in range(1, 11)]
    assert (plan.looks, asked[0], asked[-1]) == (10, 542, 5412)
    assert max(np.diff(asked)) - min(np.diff(asked)) <= 1
    assert plan_domain("d", 0.02, [known(12_032)], capped=False).cap == 12_032


def test_every_look_holds_every_stratum_in_proportion() -> None:
    plan = plan_domain("d", 0.05, [known(1000, earlier=3)], seed=5)
    (cell,) = plan.cells
    assert sorted(cell.items) == ids(1000)
    share = np.bincount(cell.strata) / 1000
    for look in range(1, plan.looks + 1):
        n = cell.asked(look, plan.looks)
        seen = np.bincount(cell.strata[:n], minlength=len(share))
        assert np.abs(seen - share * n).max() <= 1.0


def test_the_order_depends_on_the_seed_and_on_nothing_else() -> None:
    first = plan_domain("d", 0.05, [known(700)], seed=1).cells[0].items
    assert first == plan_domain("d", 0.05, [known(700)], seed=1).cells[0].items
    assert first != plan_domain("d", 0.05, [known(700)], seed=2).cells[0].items


def test_a_missing_item_is_left_out_of_the_look() -> None:
    plan = plan_domain("d", 0.05, [known(700)])
    before, after = np.ones((140, 1)), np.ones((140, 1))
    after[::7] = 0.0
    whole = plan.look([(before, after)])
    after[1] = np.nan
    assert plan.look([(before, after)]).delta == pytest.approx(whole.delta, abs=0.005)


def test_a_domain_is_the_weighted_mean_of_its_cells() -> None:
    look = domain_look([Look(-0.02, 4e-4, 1e-4), Look(0.04, 1e-4, 1e-4)], [3.0, 1.0])
    assert look.delta == pytest.approx(-0.005)
    assert look.variance == pytest.approx(9 / 16 * 4e-4 + 1 / 16 * 1e-4)
    assert look.information == pytest.approx((10 / 16 * 1e-4) / look.variance)


def test_boundaries_found_look_by_look_are_those_found_at_once() -> None:
    times = [0.1, 0.35, 0.35, 0.8, 1.0]
    one = Boundary(0.05)
    assert [one.at(t) for t in times] == boundaries(times, 0.05)


def test_five_equal_looks_have_the_known_boundaries() -> None:
    clock = Clock(0.05, domains=2)
    found = [
        clock.take(Look(0.0, 1e-2 / look, 2e-3), last=look == 5).fail_bound for look in range(1, 6)
    ]
    assert found == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=2e-3)


def test_the_clock_never_runs_backwards_and_ends_at_one() -> None:
    clock = Clock(0.05, domains=1)
    times = [
        clock.take(Look(0.0, variance, 1e-3), last=last).information
        for variance, last in ((2e-3, False), (4e-3, False), (5e-3, True))
    ]
    assert times == [0.5, 0.5, 1.0]


def test_a_pass_must_stand_with_every_missing_sample_against_it() -> None:
    good, bad = Look(0.0, 1e-4, 1e-4), Look(-0.03, 1e-4, 1e-4)
    assert Clock(0.04, 1).take(good, last=True).found == "no_regression"
    assert Clock(0.04, 1).take(good, worst=bad, best=good, last=True).found == "continue"


def test_a_regression_must_stand_with_every_missing_sample_in_its_favour() -> None:
    fallen, mild = Look(-0.06, 1e-4, 1e-4), Look(-0.01, 1e-4, 1e-4)
    assert Clock(0.04, 1).take(fallen, last=True).found == "regressed"
    assert Clock(0.04, 1).take(fallen, worst=fallen, best=mild, last=True).found == "continue"


def test_the_interval_of_a_look_holds_the_margin_off_exactly_when_it_passes() -> None:
    for delta in np.linspace(-0.03, 0.01, 9):
        taken = Clock(0.03, 1).take(Look(float(delta), 1e-4, 1e-4), last=True)
        assert (taken.limits[0] >= -0.03) == (taken.found == "no_regression")


def test_more_domains_make_a_regression_harder_to_claim_but_not_a_pass() -> None:
    look = Look(0.0, 1e-4, 1e-4)
    one, seven = (Clock(0.04, domains).take(look, last=True) for domains in (1, 7))
    assert seven.fail_bound > one.fail_bound
    assert seven.pass_bound == one.pass_bound


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = plan_domain("d", 0.02, [known(700, earlier=3), known(300, task="u")])
    keep(tmp_path / "looks" / "a.json", [plan])
    (again,) = kept(tmp_path / "looks" / "a.json") or []
    assert isinstance(again, DomainPlan)
    assert (again.domain, again.margin, again.looks) == (plan.domain, plan.margin, plan.looks)
    for before, after in zip(plan.cells, again.cells, strict=True):
        assert isinstance(after, CellPlan)
        assert (before.items, before.sizes) == (after.items, after.sizes)
        assert np.array_equal(before.strata, after.strata)
        assert (before.cap, before.flip, before.history) == (after.cap, after.flip, after.history)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1, "domains": []}', '{"schema": 1, "dom'])
def test_a_damaged_plan_is_an_error_that_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="remove it, and the looks are planned anew"):
        kept(path)
    assert kept(tmp_path / "none.json") is None
