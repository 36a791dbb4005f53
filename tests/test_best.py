"""The best of several checkpoints is chosen by one half of the items and told by the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.commands._best_table import table as text
from evalkit.errors import ConfigError, DataError, UnknownName
from evalkit.series.assembly import Series, of_store
from evalkit.series.best import best, first_half, pareto
from evalkit.storage.store import Store
from tests.small_exams import doubles, echo, exam, held


def series(
    *shares: float,
    task: str = "sums",
    domain: str = "arithmetic",
    items: int = 600,
    seed: int = 0,
    clusters: Sequence[int] | None = None,
) -> Series:
    """Checkpoints that answer such shares of one task's items, each by its own luck."""
    random = np.random.default_rng(seed)
    values = (random.random((len(shares), items)) < np.array(shares)[:, None]).astype(float)
    names = tuple(f"c{number}" for number in range(len(shares)))
    raw = np.array([random.bytes(15) + b"x" for _ in range(items)], dtype="S16")
    kept = np.array(clusters) if clusters else None
    return Series(task, domain, names, values, raw, kept, True, 1)


def test_the_winners_own_score_is_too_high_and_the_held_out_one_is_not() -> None:
    equal = [0.6] * 10
    found = [best([series(*equal, items=200, seed=seed)], "c0").places[0] for seed in range(25)]
    assert np.mean([place.chosen_by for place in found]) > 0.66  # the curse: 0.6 is the truth
    assert np.mean([place.score for place in found]) == pytest.approx(0.6, abs=0.02)


def test_a_checkpoint_that_is_much_better_is_chosen_and_shown_to_be() -> None:
    found = best([series(0.5, 0.5, 0.8)], "c0")
    assert found.best == "c2"
    assert found.places[0].gain == pytest.approx(0.3, abs=0.08)
    assert found.places[0].gain_ci[0] > 0
    assert "do not show it to be better" not in text(found)


def test_a_lucky_winner_is_not_called_better() -> None:
    found = best([series(0.6, 0.6, 0.6, seed=2)], "c0")
    assert found.best != "c0"
    assert "the held-out items do not show it to be better than c0" in text(found)


def test_either_half_has_about_half_of_the_items_and_every_item_one_half() -> None:
    one = series(0.5, 0.5, 0.5, items=2000)
    chooses = first_half(one)
    assert 900 < chooses.sum() < 1100
    assert np.array_equal(chooses, first_half(one))
    found = best([one], "c0")
    assert sum(found.items) == 2000


def test_items_of_one_cluster_stay_together() -> None:
    labels = [number // 10 for number in range(600)]
    chooses = first_half(series(0.5, 0.5, 0.5, clusters=labels))
    assert 0 < chooses.sum() < 600
    assert all(len(set(chooses[start : start + 10])) == 1 for start in range(0, 600, 10))


def test_the_target_decides_and_the_worst_other_domain_is_told() -> None:
    sums = series(0.5, 0.9, 0.6)
    words = series(0.8, 0.3, 0.8, task="words", domain="language", seed=1)
    tools = series(0.7, 0.7, 0.9, task="calls", domain="tools", seed=2)
    alike, wanted = best([sums, words, tools], "c0"), best([sums, words, tools], "c0", "arithmetic")
    assert (alike.best, wanted.best) == ("c2", "c1")
    top = wanted.places[0]
    assert top.worst_domain == "language"
    assert top.loss == pytest.approx(-0.5, abs=0.1)
    assert {place.checkpoint for place in wanted.places if place.on_front} >= {"c1", "c2"}


def test_a_task_can_be_the_target() -> None:
    easy, hard = series(0.5, 0.9, 0.5), series(0.5, 0.5, 0.9, task="hard", seed=1)
    assert best([easy, hard], "c0", "sums").best == "c1"
    assert best([easy, hard], "c0", "hard").best == "c2"


def test_the_front_holds_what_no_other_beats() -> None:
    assert pareto([(3, 0), (2, 1), (1, 0), (2, 1), (0, 2)]) == [True, True, False, True, True]
    assert pareto([(1.0, 1.0)]) == [True]


def test_an_unknown_target_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"'arithmetc'; did you mean 'arithmetic'\?"):
        best([series(0.5, 0.5, 0.5)], "c0", "arithmetc")


def test_an_invalid_task_is_left_out_and_named_and_nothing_else_is_nothing() -> None:
    bad = Series("bad", "d", ("c0", "c1", "c2"), np.empty((3, 0)), np.empty(0, "S16"), None,
                 False, None, (), "two different exams")  # fmt: skip
    found = best([series(0.5, 0.6, 0.7), bad], "c0")
    assert found.invalid == {"bad": "two different exams"}
    assert "left out: bad: two different exams" in text(found)
    with pytest.raises(DataError, match="nothing to choose by: bad: two different exams"):
        best([bad], "c0")
    with pytest.raises(DataError, match="no tasks in common"):
        best([], "c0")


def test_too_few_items_choose_nothing() -> None:
    with pytest.raises(DataError, match="too few items"):
        best([series(0.5, 0.5, 0.5, items=3)], "c0")


def test_the_command_chooses_from_the_results(tmp_path: Path) -> None:
    task = doubles(300, solution=lambda sample: str(sample.target))
    rows = [echo(name, skill, seed) for seed, (name, skill) in enumerate(
        [("base", 0.5), ("a", 0.55), ("b", 0.9)])]  # fmt: skip
    held(rows, [exam(task)], tmp_path)
    call = ["best", "base", "a", "b", "--results", str(tmp_path)]
    shown = CliRunner().invoke(cli, call)
    assert shown.exit_code == 0
    assert "best: b, chosen by" in shown.output
    told = json.loads(CliRunner().invoke(cli, [*call, "--format", "json"]).output)
    assert [place["checkpoint"] for place in told["places"]] == ["b", "a", "base"]
    assert told["places"][0]["gain"] == pytest.approx(0.4, abs=0.12)
    wrong = CliRunner().invoke(cli, [*call, "--baseline", "bas"])
    assert isinstance(wrong.exception, UnknownName)
    with pytest.raises(ConfigError, match="takes 3 checkpoints or more"):
        of_store(Store(tmp_path), ["base", "a"])
