"""The decision table, row by row; figures are fractions (0.01 is one point)."""

from __future__ import annotations

import pytest

from evalkit.stats.cell import Estimate
from evalkit.stats.decision import (
    Decision,
    Evidence,
    decide_cell,
    decide_domain,
    overall,
    saturated,
    within_missing_bounds,
    worst,
)
from evalkit.stats.designs import unpaired
from evalkit.stats.domains import domain_mean


def found(lower: float, upper: float, p_regressed: float = 0.5) -> Estimate:
    middle = (lower + upper) / 2
    return Estimate(middle, lower, upper, (upper - lower) / 3.29, p_regressed, 0.5, 500, "tango")


CELLS = [
    # lower, upper, margin, p_regressed, its adjusted, p_improved adjusted -> verdict, flags
    ((0.01, 0.05), 0.02, 0.99, 1.0, 0.01, "improved", ()),
    ((0.01, 0.05), 0.02, 0.99, 1.0, 0.20, "no_regression", ("improved?",)),
    ((0.01, 0.05), 0.00, 0.99, 1.0, 0.20, "inconclusive", ()),
    ((-0.01, 0.03), 0.02, 0.60, 1.0, 1.0, "no_regression", ()),
    ((-0.019, -0.001), 0.02, 0.001, 0.01, 1.0, "no_regression", ("small_decline",)),
    ((-0.03, -0.01), 0.02, 0.001, 0.01, 1.0, "regressed", ()),
    ((-0.06, -0.03), 0.02, 0.001, 0.01, 1.0, "regressed", ("beyond_margin",)),
    ((-0.06, -0.03), 0.02, 0.030, 0.21, 1.0, "inconclusive", ("suspect",)),
    ((-0.06, 0.001), 0.02, 0.040, 0.04, 1.0, "inconclusive", ("suspect",)),
    ((-0.04, 0.02), 0.02, 0.300, 1.0, 1.0, "inconclusive", ()),
    ((-0.02, 0.02), 0.02, 0.500, 1.0, 1.0, "inconclusive", ()),  # L = -m is not above it
    ((-0.01, 0.03), None, 0.60, 1.0, 1.0, "inconclusive", ()),
    ((-0.03, -0.01), None, 0.001, 0.01, 1.0, "regressed", ()),
    ((-0.03, -0.01), 0.00, 0.001, 0.01, 1.0, "regressed", ("beyond_margin",)),
    ((0.01, 0.05), None, 0.99, 1.0, 0.01, "improved", ()),
]


@pytest.mark.parametrize(("ci", "margin", "p", "p_adjusted", "q", "verdict", "flags"), CELLS)
def test_a_cell_is_judged_by_the_first_row_that_holds(
    ci: tuple[float, float],
    margin: float | None,
    p: float,
    p_adjusted: float,
    q: float,
    verdict: str,
    flags: tuple[str, ...],
) -> None:
    decision = decide_cell(found(*ci, p), margin, p_adjusted, q)
    assert (decision.verdict, decision.flags) == (verdict, flags)


def test_a_cell_that_was_not_measured_is_invalid() -> None:
    assert decide_cell(None, 0.02, 1.0, 1.0).verdict == "invalid"


def test_aggregates_alone_never_show_that_nothing_was_lost() -> None:
    alike = unpaired(0.800, 0.801, 100_000, 100_000)
    assert decide_cell(alike, 0.02, alike.p_regressed, 1.0).verdict == "inconclusive"
    mean = domain_mean([alike, found(-0.01, 0.01)])
    quiet = Evidence(("inconclusive", "no_regression"), -0.001)
    assert decide_domain(mean, 0.02, 1.0, 1.0, quiet).verdict == "inconclusive"


def test_failing_on_any_decline_takes_the_margin_away() -> None:
    inside = found(-0.019, -0.001, 0.001)
    assert decide_cell(inside, 0.02, 0.01, 1.0).verdict == "no_regression"
    strict = decide_cell(inside, 0.02, 0.01, 1.0, fail_on_any_decline=True)
    assert strict == Decision("regressed")


def test_failing_on_any_decline_needs_a_confirmed_decline() -> None:
    undecided = decide_cell(found(-0.019, 0.01), 0.02, 0.3, 1.0, fail_on_any_decline=True)
    assert undecided.verdict == "no_regression"


DOMAINS = [
    # lower, upper, adjusted p, cells, lowest pooled mean -> verdict, flags  (margin 0.02)
    ((0.01, 0.05), 1.0, ("improved",), 0.01, "improved", ()),
    ((0.01, 0.05), 0.01, ("improved", "regressed"), -0.01, "improved", ("mixed",)),
    ((-0.01, 0.03), 0.01, ("improved", "regressed"), -0.01, "no_regression", ("mixed",)),
    ((-0.01, 0.01), 0.01, ("no_regression",) * 2, -0.01, "no_regression", ("small_decline",)),
    ((-0.04, -0.01), 0.01, ("regressed", "inconclusive"), -0.03, "regressed", ()),
    ((-0.04, -0.01), 0.01, ("inconclusive",) * 2, -0.03, "regressed", ("diffuse",)),
    (
        (-0.06, -0.03),
        0.01,
        ("inconclusive",) * 2,
        -0.05,
        "regressed",
        ("beyond_margin", "diffuse"),
    ),
    ((-0.04, 0.01), 0.01, ("inconclusive",) * 2, -0.01, "inconclusive", ("small_decline",)),
    ((-0.04, 0.01), 0.30, ("inconclusive",) * 2, -0.03, "inconclusive", ("suspect",)),
]


@pytest.mark.parametrize(("ci", "p_adjusted", "cells", "pooled", "verdict", "flags"), DOMAINS)
def test_a_domain_is_judged_by_the_first_row_that_holds(
    ci: tuple[float, float],
    p_adjusted: float,
    cells: tuple[str, ...],
    pooled: float,
    verdict: str,
    flags: tuple[str, ...],
) -> None:
    p_improved = 0.01 if verdict == "improved" else 1.0
    mean = found(*ci, p_regressed=0.04)
    decision = decide_domain(mean, 0.02, p_adjusted, p_improved, Evidence(cells, pooled))
    assert (decision.verdict, decision.flags) == (verdict, flags)


def test_a_domain_that_lacks_a_cell_is_invalid_unless_it_regressed() -> None:
    lacking = Evidence(("invalid", "no_regression"), -0.01)
    assert decide_domain(None, 0.02, 0.01, 1.0, lacking).verdict == "invalid"
    regressed = Evidence(("invalid", "regressed"), -0.05)
    assert decide_domain(None, 0.02, 0.01, 1.0, regressed) == Decision("regressed")
    diffuse = Evidence(("invalid", "inconclusive", "inconclusive"), -0.05)
    assert decide_domain(None, 0.02, 0.01, 1.0, diffuse) == Decision("regressed", ("diffuse",))
    assert decide_domain(None, 0.02, 0.01, 1.0, Evidence(("invalid",))).verdict == "invalid"


def test_a_domain_without_a_margin_can_regress_but_not_pass() -> None:
    quiet = Evidence(("inconclusive",) * 2, 0.01)
    assert decide_domain(found(0.0, 0.03), None, 1.0, 1.0, quiet).verdict == "inconclusive"
    falling = Evidence(("inconclusive",) * 2, -0.01)
    fallen = decide_domain(found(-0.03, -0.001), None, 0.01, 1.0, falling)
    assert fallen == Decision("regressed", ("diffuse",))


def test_failing_on_any_decline_needs_no_witness_in_a_domain() -> None:
    evidence = Evidence(("no_regression",) * 2, -0.01)
    mean = found(-0.015, 0.001)
    assert decide_domain(mean, 0.02, 0.01, 1.0, evidence).verdict == "no_regression"
    strict = decide_domain(mean, 0.02, 0.01, 1.0, evidence, fail_on_any_decline=True)
    assert strict == Decision("regressed", ("diffuse",))


def test_missing_samples_must_not_be_able_to_overturn_a_verdict() -> None:
    passed, improved = Decision("no_regression"), Decision("improved")
    failed, unsure = Decision("regressed"), Decision("inconclusive", ("suspect",))
    assert within_missing_bounds(passed, worst=passed, best=improved) == passed
    assert within_missing_bounds(improved, worst=passed, best=improved) == passed
    assert within_missing_bounds(passed, worst=unsure, best=passed).flags == ("missing",)
    assert within_missing_bounds(failed, worst=failed, best=failed) == failed
    assert within_missing_bounds(failed, worst=failed, best=unsure).verdict == "inconclusive"
    assert within_missing_bounds(unsure, worst=failed, best=passed) == unsure


@pytest.mark.parametrize(
    ("gained", "lost", "before", "after", "expected"),
    [
        (2, 2, 0.5, 0.5, True),
        (2, 3, 0.5, 0.5, False),
        (20, 30, 0.98, 0.97, True),
        (20, 30, 0.98, 0.96, False),
        (20, 30, 0.03, 0.01, True),
        (20, 30, 0.04, 0.01, False),
    ],
)
def test_a_benchmark_at_the_end_of_its_scale_is_saturated(
    gained: float, lost: float, before: float, after: float, expected: bool
) -> None:
    assert saturated(gained, lost, before, after) is expected


def test_a_candidate_that_nothing_gates_passes_if_anything_was_measured() -> None:
    assert overall([], ["inconclusive"]) == ("passed", 0)
    assert overall([], ["invalid"]) == ("invalid", 4)
    assert overall([], []) == ("invalid", 4)
    assert overall([], ["regressed"]) == ("regressed", 1)


def test_the_user_may_soften_or_sharpen_inconclusive() -> None:
    units = ["no_regression", "inconclusive"]
    assert overall(units, []) == ("inconclusive", 3)
    assert overall(units, [], warn_on_inconclusive=True) == ("inconclusive", 0)
    assert overall(units, [], suspects_fail=True) == ("inconclusive", 1)
    assert overall([*units, "invalid"], [], warn_on_inconclusive=True) == ("invalid", 4)


def test_only_an_undecided_alarm_is_suspect() -> None:
    assert Decision("inconclusive", ("suspect",)).suspect
    assert Decision("inconclusive", ("small_decline",)).suspect
    assert not Decision("inconclusive").suspect
    assert not Decision("no_regression", ("small_decline",)).suspect


def test_several_candidates_are_as_good_as_the_worst() -> None:
    assert worst([("passed", 0), ("regressed", 1), ("invalid", 4)]) == ("regressed", 1)
    assert worst([("inconclusive", 3), ("invalid", 4)]) == ("invalid", 4)
    assert worst([("improved", 0), ("inconclusive", 3)]) == ("inconclusive", 3)
    assert worst([("improved", 0), ("passed", 0)]) == ("passed", 0)
    assert worst([("improved", 0), ("improved", 0)]) == ("improved", 0)
