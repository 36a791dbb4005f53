"""Scores of items answered several times, rankings from games, and planning."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from evalkit.grading.several import Several
from evalkit.stats import power
from evalkit.stats.rankings import bradley_terry, elo, win_rate
from evalkit.stats.samples import average, majority, pass_at_k, pass_hat_k, variance_shares


def test_the_average_leaves_missing_answers_out() -> None:
    assert average([[1.0, 0.0, np.nan], [1.0, 1.0, 1.0]]).tolist() == [0.5, 1.0]


def test_one_answer_passes_as_often_as_all_of_one() -> None:
    assert pass_at_k(4, [0, 1, 4], 1).tolist() == pytest.approx([0.0, 0.25, 1.0])
    assert pass_hat_k(4, [0, 1, 4], 1).tolist() == pytest.approx([0.0, 0.25, 1.0])
    assert pass_hat_k(4, [3, 2], 2).tolist() == pytest.approx([3 / 6, 1 / 6])


@pytest.mark.parametrize("k", [0, 5])
def test_k_is_within_the_answers(k: int) -> None:
    with pytest.raises(ValueError, match="between 1"):
        pass_at_k(4, 2, k)


def test_the_most_common_answer_counts() -> None:
    assert majority(["7", "7", "8"], [1.0, 1.0, 0.0]) == 1.0
    assert majority(["8", "8", "7"], [0.0, 0.0, 1.0]) == 0.0
    assert majority(["7", "8"], [1.0, 0.0]) == 0.5
    assert majority([None, None, "7"], [0.0, 0.0, 1.0]) == 1.0
    assert majority([None], [0.0]) == 0.0


def test_sampling_noise_is_told_from_differences_between_items() -> None:
    random = np.random.default_rng(2)
    skill = random.choice([0.2, 0.8], 4_000)[:, None]
    before = (random.random((4_000, 4)) < skill).astype(float)
    after = (random.random((4_000, 8)) < skill).astype(float)
    found = variance_shares(before, after)
    assert found.s0_squared == pytest.approx(0.16, abs=0.005)
    assert found.s1_squared == pytest.approx(0.16, abs=0.005)
    assert found.omega2 == pytest.approx(0.0, abs=0.005)
    assert found.within_share == pytest.approx(1.0, abs=0.05)
    assert variance_shares(np.ones((5, 2)), np.ones((5, 2))).within_share == 0.0
    with pytest.raises(ValueError, match="two samples"):
        variance_shares(np.ones((5, 1)), np.ones((5, 2)))


def test_a_tie_is_half_a_win_for_each() -> None:
    assert bradley_terry([("A", "B", 3, 1), ("A", "B", 1, 1)], "B") == pytest.approx(
        bradley_terry([("A", "B", 4, 2)], "B")
    )
    even = bradley_terry([("A", "B", 0.5, 0.5)], "B")
    assert even == pytest.approx({"A": 0.0, "B": 0.0})


def test_two_players_have_the_odds_of_their_games() -> None:
    strength = bradley_terry([("A", "B", 1000, 1)], "B")["A"]
    assert strength == pytest.approx(np.log(1000))
    assert win_rate(strength) == pytest.approx(1000 / 1001)
    assert elo(strength) == pytest.approx(1200.0)


def test_games_weigh_as_much_as_they_are_worth() -> None:
    heavy = bradley_terry([("A", "B", 3.0, 1.0), ("B", "C", 6, 4), ("A", "C", 2, 2)], "C")
    light = bradley_terry(
        [("A", "B", 1.0, 0.0)] * 3 + [("B", "A", 1.0, 0.0), ("B", "C", 6, 4), ("C", "A", 2, 2)], "C"
    )
    assert heavy == pytest.approx(light)


@pytest.mark.parametrize(
    "games",
    [
        [("A", "B", 5.0, 0.0)],
        [("A", "B", 1.0, 1.0), ("C", "D", 1.0, 1.0)],
    ],
)
def test_players_without_a_finite_strength_are_refused(
    games: list[tuple[str, str, float, float]],
) -> None:
    with pytest.raises(ValueError, match="no finite strengths"):
        bradley_terry(games, "B")


def test_the_suggested_margin_is_passed_97_times_in_100() -> None:
    margin = power.suggested_margin(0.0041)
    assert margin == pytest.approx(0.015)
    assert power.probability_of_pass(margin, 0.0041) >= 0.97
    assert power.probability_of_pass(margin - 0.005, 0.0041) < 0.97


def test_the_items_required_make_an_unchanged_model_pass() -> None:
    n = power.n_required(0.2, 0.02, power=0.80)
    assert power.probability_of_pass(0.02, np.sqrt(0.2 / n)) == pytest.approx(0.80, abs=0.001)


def test_a_wider_margin_or_family_hides_larger_declines() -> None:
    lone = power.mde_regressed(0.02, 0.03)
    assert lone == pytest.approx(power.mde(0.02, 1))
    assert power.mde_regressed(0.02, 0.20) > lone
    assert power.mde_regressed(0.02, 0.03, n_domains=7) > lone
    assert power.mde_regressed(0.02, 0.03, cells_in_domain=3) > lone


@pytest.mark.parametrize("right", range(6))
@pytest.mark.parametrize("k", range(1, 6))
def test_drawing_k_of_the_answers_says_the_same(right: int, k: int) -> None:
    answers = [True] * right + [False] * (5 - right)
    draws = list(combinations(answers, k))
    assert pass_at_k(5, right, k) == pytest.approx(np.mean([any(draw) for draw in draws]))
    assert pass_hat_k(5, right, k) == pytest.approx(np.mean([all(draw) for draw in draws]))


def several(*items: str, best: float = 1.0, worst: float = 0.0) -> dict[str, float]:
    """The figures of items as words: `1` and `0` are scores, `?` is missing, `x` is unread."""
    known = {"1": (1.0, "right"), "0": (0.0, "zero"), "?": (None, None), "x": (0.0, None)}
    found = Several(len(items[0]), best, worst)
    for number, item in enumerate(items):
        for mark in item:
            found.take(number, *known.get(mark, (0.5, "half")))
    return found.figures()


def test_several_answers_are_told_in_every_way_that_is_in_use() -> None:
    found = several("1111", "1100", "1000", "0000")
    assert found["avg@4"] == pytest.approx((4 + 2 + 1) / 16)
    assert found["pass@2"] == pytest.approx((1 + 5 / 6 + 3 / 6) / 4)
    assert found["pass@4"] == 0.75
    assert found["pass^2"] == pytest.approx((1 + 1 / 6) / 4)
    assert found["pass^4"] == 0.25
    assert found["maj@4"] == pytest.approx((1 + 0.5) / 4)
    assert [name for name in found if name.startswith("pass@")] == ["pass@2", "pass@3", "pass@4"]


def test_items_with_a_missing_answer_are_left_out_of_them() -> None:
    assert several("11", "1?")["avg@2"] == 1.0
    assert several("?1") == {}


def test_one_answer_or_a_fractional_score_has_no_such_figures() -> None:
    assert several("1", "0") == {}
    assert several("h1", "11") == {}
    assert "maj@2" not in several("xx", "xx")


def test_where_less_is_better_the_lowest_score_is_the_right_one() -> None:
    assert several("10", "00", best=0.0, worst=1.0)["pass^2"] == 0.5
