"""Changes over a series of checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.stats.trend import change_point, change_points, first_decline


def series(
    *rates: float, items: int = 400, seed: int = 5
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Checkpoints that answer an item right when its difficulty is below their rate, mostly."""
    random = np.random.default_rng(seed)
    difficulty = random.random(items)
    noise = random.normal(0, 0.05, (len(rates), items))
    return (difficulty + noise < np.array(rates)[:, None]).astype(float)


def test_a_drop_is_found_where_it_happened() -> None:
    found = change_point(series(0.7, 0.7, 0.7, 0.7, 0.6, 0.6, 0.6))
    assert found.index == 4
    assert found.delta == pytest.approx(-0.1, abs=0.03)
    assert found.p == pytest.approx(1 / 1001)


def test_checkpoints_that_do_not_differ_have_no_change() -> None:
    found = change_point(np.repeat(series(0.7), 6, axis=0))
    assert found.z == (0.0,) * 5
    assert found.p == 1.0


def test_the_null_is_rejected_about_as_often_as_planned() -> None:
    p = [
        change_point(series(*[0.6] * 8, items=200, seed=seed), resamples=200).p
        for seed in range(200)
    ]
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.10


def test_two_drops_are_both_found() -> None:
    found = change_points(series(0.8, 0.8, 0.8, 0.65, 0.65, 0.65, 0.5, 0.5, 0.5))
    assert [each.index for each in found] == [3, 6]


def test_a_rise_is_no_decline() -> None:
    rising = series(0.5, 0.55, 0.6, 0.7)
    assert change_points(rising) == []
    assert first_decline(rising, binary=True) is None


def test_the_first_confirmed_decline_is_against_the_best_so_far() -> None:
    falling = series(0.5, 0.8, 0.79, 0.7, 0.6)
    assert first_decline(falling, binary=True) == 3


def test_a_series_of_one_checkpoint_has_no_change() -> None:
    assert change_points(series(0.5)) == []
    with pytest.raises(ValueError, match="two checkpoints"):
        change_point(series(0.5))
