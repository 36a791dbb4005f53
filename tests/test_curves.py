"""What a training logged: kept, read whatever happened, thinned, and judged in words."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from evalkit.training.curves import NAME, append, flags, read, thinned


def rising(first: float, last: float, count: int = 20) -> list[tuple[int, float]]:
    return [(i, first + (last - first) * i / (count - 1)) for i in range(count)]


def test_numbers_are_kept_and_clocks_and_texts_are_not(tmp_path: Path) -> None:
    append(tmp_path, 5, {"loss": 0.5, "step_time": 3.0, "epoch": 0.1, "note": "x", "kl": None})
    append(tmp_path, 10, {"loss": math.nan})
    append(tmp_path, 10, {"train_runtime": 2.0})
    found = read(tmp_path)
    assert list(found) == ["loss"]
    assert found["loss"][0] == (5, 0.5)
    assert math.isnan(found["loss"][1][1])


def test_steps_that_were_repeated_count_once(tmp_path: Path) -> None:
    for step, loss in ((1, 0.9), (2, 0.8), (3, 0.7), (2, 0.5), (3, 0.4)):
        append(tmp_path, step, {"loss": loss})
    assert read(tmp_path)["loss"] == [(1, 0.9), (2, 0.5), (3, 0.4)]


@pytest.mark.parametrize(
    "line", ["{", "[1]", "{}", '{"step": "x"}', '{"step": 2, "loss": "a"}', ""]
)
def test_damaged_lines_and_a_torn_tail_are_left_out(tmp_path: Path, line: str) -> None:
    append(tmp_path, 1, {"loss": 1.0})
    with (tmp_path / NAME).open("a") as file:
        file.write(f'{line}\n{{"step": 3, "loss": 0.1')
    assert read(tmp_path) == {"loss": [(1, 1.0)]}


def test_a_run_without_a_log_has_no_curves(tmp_path: Path) -> None:
    assert read(tmp_path) == {}


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    curve = rising(0, 1, 12_345)
    found = thinned(curve)
    assert len(found) == 200
    assert (found[0], found[-1]) == (curve[0], curve[-1])
    steps = [step for step, _ in found]
    assert steps == sorted(set(steps))
    assert thinned(curve[:7]) == curve[:7]


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        ({"loss": [(1, 1.0), (2, math.nan)]}, "loss was no number at step 2"),
        ({"frac_reward_zero_std": rising(0.2, 1.0)}, "every answer earned the same reward"),
        ({"completions/clipped_ratio": rising(0.0, 0.9)}, "% of the answers were cut off"),
        ({"entropy": rising(2.0, 0.01), "reward": rising(0, 1)}, "answers hardly vary"),
        ({"kl": rising(0.0, 3.0), "reward": rising(0, 1)}, "KL to the reference rose from"),
        (
            {"rewards/chosen": rising(0, -2), "rewards/margins": rising(0, 1)},
            "likelihood displacement",
        ),
    ],
)
def test_trouble_is_told_in_words(curves: dict[str, list[tuple[int, float]]], said: str) -> None:
    (found,) = flags(curves)
    assert said in found


@pytest.mark.parametrize(
    "curves",
    [
        {},
        {"loss": rising(2, 0.1), "entropy": rising(2, 0.01)},  # supervision lowers entropy
        {"frac_reward_zero_std": rising(0.9, 0.1)},
        {"completions/clipped_ratio": rising(0.9, 0.85)},  # it was so from the start
        {"kl": rising(0.0, 0.05), "reward": rising(0, 1)},
        {"rewards/chosen": rising(0, 1), "rewards/margins": rising(0, 2)},
        {"rewards/chosen": rising(0, -0.05), "rewards/margins": rising(0, 1)},
        {"reward": [(1, 0.5)]},
    ],
)
def test_a_training_that_goes_well_is_told_nothing(
    curves: dict[str, list[tuple[int, float]]],
) -> None:
    assert flags(curves) == []
