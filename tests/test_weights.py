"""A benchmark's own weights count wherever its score does: trends, choices, plans, noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalkit.comparison.policy import Policy
from evalkit.comparison.unpaired import summary
from evalkit.errors import DataError
from evalkit.events import silent
from evalkit.planning.noise import noise
from evalkit.planning.plan import plan
from evalkit.reporting.report import of_store
from evalkit.series.assembly import Series
from evalkit.series.assembly import of_store as series_of
from evalkit.series.best import best
from evalkit.series.trend import trend
from evalkit.stats.cell import Differences
from evalkit.stats.estimate import estimates
from evalkit.stats.linear import by_cluster, by_stratum, linear
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Rows, Sample, Task
from tests.small_exams import doubles, echo, exam, held, matrix, right, row

WEIGHTS = {"heavy": 3.0, "light": 1.0}


def weighed(count: int = 240, heavy: int = 60, **fields: object) -> Task:
    """A quarter of the items has three quarters of the weight."""

    def samples(_: Rows) -> Iterable[Sample]:
        for i in range(count):
            stratum = "heavy" if i < heavy else "light"
            yield Sample(str(i), f"twice {i}?", str(2 * i), stratum=stratum)

    return replace(doubles(count), samples=samples, weights=WEIGHTS, **fields)  # type: ignore[arg-type]


def losing(share: float, stratum: str = "heavy") -> Callable[[Request], Response]:
    """Right but for a share of one stratum."""

    def answer(request: Request) -> Response:
        number = int(request.sample.id)
        lost = request.sample.stratum == stratum and number % 60 < 60 * share
        return Response("no idea") if lost else right(request)

    return answer


def test_the_linear_items_of_strata_have_the_weighted_mean_and_its_error() -> None:
    random = np.random.default_rng(1)
    y = random.random((3, 100))
    strata = np.repeat([0, 1, 2], [20, 50, 30])
    weights = (0.5, 0.3, 0.0)
    moved = by_stratum(y, strata, weights)
    for row_, own in zip(moved, y, strict=True):
        means = [own[strata == h].mean() for h in range(2)]
        assert row_.mean() == pytest.approx((0.5 * means[0] + 0.3 * means[1]) / 0.8)
        variances = [own[strata == h].var(ddof=1) / (20, 50)[h] for h in range(2)]
        se = math.sqrt((0.5 / 0.8) ** 2 * variances[0] + (0.3 / 0.8) ** 2 * variances[1])
        assert row_.std(ddof=1) / 10 == pytest.approx(se)
    contrast = by_stratum((y[1] - y[0])[None, :], strata, weights)[0]
    assert moved[1] - moved[0] == pytest.approx(contrast)


def test_clusters_and_strata_together_have_the_error_of_both() -> None:
    random = np.random.default_rng(2)
    y = random.random((2, 120))
    clusters = np.arange(120) // 4
    strata = np.repeat([0, 1], [40, 80])
    moved = linear(y, clusters, strata, (1.0, 1.0))
    assert moved.shape == (2, 30)
    assert linear(y, clusters) == pytest.approx(by_cluster(y, clusters))
    d = moved[1] - moved[0]
    parts = estimates([Differences(y[1] - y[0], False, clusters, None, strata, (1.0, 1.0))])
    assert d.mean() == pytest.approx(parts[0].delta)
    assert d.std(ddof=1) / math.sqrt(30) == pytest.approx(parts[0].se, rel=0.15)


@pytest.fixture
def lineage(tmp_path: Path) -> Store:
    """Four checkpoints: the third loses the heavy stratum, the fourth all of the light one."""
    answers = [right, losing(0.1), losing(0.8), losing(1.0, "light")]
    rows = [row(f"step-{i}", answer) for i, answer in enumerate(answers)]
    held(rows, [exam(weighed())], tmp_path)
    return Store(tmp_path)


NAMES = [f"step-{i}" for i in range(4)]


def test_a_trend_goes_by_the_weighted_score(lineage: Store) -> None:
    (task,) = trend(series_of(lineage, NAMES)).tasks
    told = of_store(lineage, NAMES, Policy()).scores
    scores = [point.score for point in task.scores]
    assert scores == pytest.approx([1.0, 0.925, 0.4, 0.75])
    assert scores == pytest.approx([each.score for each in told])
    deltas = [each.delta for each in task.declines]  # each against step-0, the best before it
    assert deltas == pytest.approx([-0.075, -0.6, -0.25])
    assert task.declines[1].p < 0.01


def test_the_best_goes_by_the_weighted_score(lineage: Store) -> None:
    """step-3 has fewer right answers than step-2, and the better score."""
    found = best(series_of(lineage, NAMES[1:]), "step-1")
    assert [place.checkpoint for place in found.places] == ["step-1", "step-3", "step-2"]
    assert found.places[1].score == pytest.approx(0.75)


def test_a_half_without_a_stratum_is_told(tmp_path: Path) -> None:
    rows = [row(name) for name in NAMES[:3]]
    held(rows, [exam(weighed(60, heavy=3))], tmp_path)
    with pytest.raises(DataError, match="too few items: every task needs two"):
        best(series_of(Store(tmp_path), NAMES[:3]), "step-0")


def test_a_series_without_two_items_of_a_stratum_is_invalid(tmp_path: Path) -> None:
    rows = [row(name) for name in NAMES[:3]]
    held(rows, [exam(weighed(60, heavy=1))], tmp_path)
    (found,) = series_of(Store(tmp_path), NAMES[:3])
    assert isinstance(found, Series)
    assert "its stratum 'heavy'" in found.invalid


def test_a_plan_counts_a_small_heavy_stratum(tmp_path: Path) -> None:
    """SE² = ΣW²σ²/n: a quarter of the items with three quarters of the weight."""
    exams = [exam(weighed())]
    (weighed_,) = plan(matrix([row("base"), row("new")], exams), tmp_path).tasks
    expected = weighed_.sd * math.sqrt(0.75**2 / 60 + 0.25**2 / 180)
    assert weighed_.se == pytest.approx(expected)
    assert weighed_.se > 1.3 * weighed_.sd / math.sqrt(240)


def test_a_plan_finds_the_error_that_a_comparison_then_has(tmp_path: Path) -> None:
    before, after = row("base"), row("new", losing(0.3), parent="base")
    exams = [exam(weighed())]
    held([before, after], exams, tmp_path)
    (cell,) = of_store(Store(tmp_path), ["base", "new"], Policy()).candidates[0].cells
    (planned,) = plan(matrix([before, after], exams), tmp_path).tasks
    assert planned.source.startswith("measured")
    assert cell.ci is not None
    assert planned.se == pytest.approx((cell.ci[1] - cell.ci[0]) / (2 * 1.6449), rel=1e-3)


def test_the_noise_of_a_heavy_stratum_weighs_more(tmp_path: Path) -> None:
    task = weighed(solution=lambda sample: str(sample.target))

    def unsure(stratum: str) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            flips = request.sample.stratum == stratum and request.epoch == 1
            return Response("no idea") if flips else right(request)

        return answer

    found = {}
    for stratum in WEIGHTS:
        one = matrix([row("base", unsure(stratum))], [exam(task)])
        (found[stratum],) = noise(one, "base", tmp_path / stratum, silent)
    assert found["heavy"].sd_delta == pytest.approx(math.sqrt(2 * 0.5 * 0.75**2 / 60))
    assert found["light"].sd_delta == pytest.approx(math.sqrt(2 * 0.5 * 0.25**2 / 180))


def test_a_bare_score_is_held_against_the_weighted_one(lineage: Store) -> None:
    from evalkit.comparison.sides import Side

    cells = {cell.meta()["names"][0]: cell for cell in lineage.cells()}
    cell = cells["step-1"]
    found = summary(Side(cell, {**cell.meta(), "exam": cell.meta()["exams"][""]}).arm)
    assert found.score == pytest.approx(0.925)
    assert found.se == pytest.approx(0.75 * math.sqrt(0.1 * 0.9 / 59), rel=1e-6)


def test_echo_answers_a_weighed_task_as_any_other(tmp_path: Path) -> None:
    task = weighed(solution=lambda sample: str(sample.target))
    held([echo("base", 1.0), echo("new", 0.5)], [exam(task)], tmp_path)
    (cell,) = of_store(Store(tmp_path), ["base", "new"], Policy()).candidates[0].cells
    assert cell.verdict == "regressed"
    assert cell.method == "stratified"
