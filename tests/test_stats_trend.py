"""Changes over a series of checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from evalkit.stats.clusters import cluster_se
from evalkit.stats.declines import Decline, declines, first_decline
from evalkit.stats.linear import by_cluster
from evalkit.stats.trend import change_point, change_points


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
    p = [change_point(series(*[0.6] * 8, items=200, seed=seed)).p for seed in range(400)]
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.10


def test_two_drops_are_both_found() -> None:
    found = change_points(series(0.8, 0.8, 0.8, 0.65, 0.65, 0.65, 0.5, 0.5, 0.5))
    assert [each.index for each in found] == [3, 6]


def test_a_rise_is_no_decline() -> None:
    rising = series(0.5, 0.55, 0.6, 0.7)
    assert change_points(rising) == []
    assert first_decline(declines(rising, binary=True)) is None


def test_the_first_confirmed_decline_is_against_the_best_so_far() -> None:
    falling = series(0.5, 0.8, 0.79, 0.7, 0.6)
    found = first_decline(declines(falling, binary=True))
    assert found is not None
    assert (found.index, found.best) == (3, 1)
    assert found.delta == pytest.approx(falling[3].mean() - falling[1].mean())
    assert found.delta < found.upper < 0
    assert found.p <= 0.05


def test_a_series_of_one_checkpoint_has_no_change() -> None:
    assert change_points(series(0.5)) == []
    with pytest.raises(ValueError, match="two checkpoints"):
        change_point(series(0.5))
    with pytest.raises(ValueError, match="two checkpoints"):
        declines(series(0.5), binary=True)


def test_the_luckiest_checkpoint_so_far_makes_no_decline_of_the_next() -> None:
    def null(seed: int) -> list[Decline]:
        random = np.random.default_rng(seed)
        chance = random.beta(0.6, 0.5, 200)
        return declines((random.random((12, 200)) < chance).astype(float), binary=True)

    alarms = [first_decline(null(seed)) is not None for seed in range(40)]
    assert np.mean(alarms) <= 0.10  # nominal 0.05; a plain Holm over t: 0.16 to 0.18


def test_copies_of_an_item_say_no_more_than_the_item() -> None:
    once = series(0.7, 0.7, 0.66, 0.66, items=200)
    labels = [str(i) for i in range(200)]
    thrice = np.tile(once, 3)
    clustered = by_cluster(thrice, labels * 3)
    same = change_point(by_cluster(once, labels))
    assert change_point(clustered).z == pytest.approx(same.z)
    assert declines(thrice, binary=True, clusters=labels * 3)[-1].p >= (
        declines(thrice, binary=True)[-1].p
    )


def test_clusters_of_any_size_have_the_robust_standard_error() -> None:
    y = series(0.7, 0.6, items=90)
    labels = [str(min(i // 4, 15)) for i in range(90)]
    d = by_cluster(y, labels)[1] - by_cluster(y, labels)[0]
    assert d.mean() == pytest.approx((y[1] - y[0]).mean())
    assert d.std(ddof=1) / np.sqrt(d.size) == pytest.approx(cluster_se(y[1] - y[0], labels))
