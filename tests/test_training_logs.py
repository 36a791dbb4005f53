"""What frameworks log, read into the one table of metrics; logs are somebody else's, and half."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from evalkit.training import curves
from tests.stand_in import EVENTS
from trainers import _events, nemo_rl_job, openrlhf_job, verl_job
from trainers._logs import lines, with_margin

CONSOLE = """\
Training Progress:   1%|          | 1/90 [00:07<11:02]
(TaskRunner pid=312) step:1 - actor/entropy:0.75 - actor/pg_loss:-0.25 - actor/grad_norm:1.5 - \
critic/score/mean:np.float64(0.125) - response_length/mean:np.float32(31.0) - perf/mfu:nan - \
timing_s/gen:3.5 - critic/score/max(all):1.0 - actor/lr:1e-06
step:2 - train/loss:0.5 - train/grad_norm:inf - global_seqlen/mean:12
step:2 - val/loss:0.25
a reply that says step:9 - actor/entropy:nonsense
step:3 - actor/entropy:0.7 - actor/pg_lo"""


def test_verls_lines_are_read_among_others(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(CONSOLE)
    found = dict(verl_job.log(tmp_path, tmp_path / "log"))
    assert found[1] == {
        "entropy": 0.75, "loss": -0.25, "grad_norm": 1.5, "reward": 0.125,
        "completions/mean_length": 31.0, "learning_rate": 1e-6,
    }  # fmt: skip
    assert found[2] == {"loss": 0.5, "grad_norm": math.inf}
    assert found[3] == {"entropy": 0.7}


def test_a_bar_that_was_drawn_over_itself_does_not_hide_a_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\rstep 1 of 9\rstep:1 - actor/entropy:0.5\r\n\xff\xfe")
    assert list(verl_job.log(tmp_path, tmp_path / "log")) == [(1, {"entropy": 0.5})]
    assert list(lines(tmp_path / "none")) == []


def test_events_are_read_without_tensorboard(tmp_path: Path) -> None:
    (tmp_path / EVENTS.name).write_bytes(EVENTS.read_bytes())
    names = {"loss_mean": "loss", "lr": "learning_rate"}
    found = list(_events.scalars(tmp_path, names, "train/"))
    assert [step for step, _ in found] == [1, 2, 3]
    assert [values["loss"] for _, values in found] == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert all(set(values) == {"loss", "learning_rate"} for _, values in found)


def test_a_file_of_events_that_is_cut_anywhere_gives_what_is_whole(tmp_path: Path) -> None:
    whole = EVENTS.read_bytes()
    path = tmp_path / EVENTS.name
    before = -1
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        count = sum(len(v) for _, v in _events.scalars(tmp_path, {"loss_mean": "loss"}, "train/"))
        assert count >= before
        before = count
    assert before == 3


@pytest.mark.parametrize("byte", [b"\x00", b"\xff", b"\x0b", b"\x2a"])
def test_noise_in_place_of_events_ends_in_nothing(byte: bytes, tmp_path: Path) -> None:
    path = tmp_path / EVENTS.name
    for content in (byte * 100, struct.pack("<QI", 40, 0) + byte * 44):
        path.write_bytes(content)
        assert list(_events.scalars(tmp_path, {"loss_mean": "loss"}, "train/")) == []


def test_a_run_that_was_resumed_tells_its_later_word_of_a_step(tmp_path: Path) -> None:
    whole = EVENTS.read_bytes()
    (tmp_path / "events.out.tfevents.1.host.1.0").write_bytes(whole)
    changed = whole.replace(struct.pack("<f", 0.5), struct.pack("<f", 0.75))
    (tmp_path / "events.out.tfevents.2.host.1.0").write_bytes(changed)
    found = dict(_events.scalars(tmp_path, {"loss_mean": "loss"}, "train/"))
    assert found[2] == {"loss": 0.75}


def test_each_frameworks_names_become_the_common_ones() -> None:
    """The names that early warnings are looked for under, TRL's."""
    common = {"loss", "learning_rate", "grad_norm", "reward", "kl", "entropy",
              "completions/clipped_ratio", "completions/mean_length", "clip_ratio/region_mean",
              "value_loss", "reward_std", "rewards/accuracies", "rewards/chosen",
              "rewards/rejected"}  # fmt: skip
    for job in (openrlhf_job, verl_job, nemo_rl_job):
        assert set(job.NAMES.values()) <= common
        assert set(job.NAMES.values()) >= {
            "loss", "learning_rate", "grad_norm", "reward", "kl", "entropy",
            "completions/clipped_ratio", "completions/mean_length",
        }  # fmt: skip


def test_a_margin_is_told_where_both_rewards_are() -> None:
    both = {"rewards/chosen": 1.0, "rewards/rejected": 0.25}
    assert with_margin(both) == {**both, "rewards/margins": 0.75}
    assert with_margin({"rewards/chosen": 1.0}) == {"rewards/chosen": 1.0}


def test_the_table_takes_no_number_that_json_has_not(tmp_path: Path) -> None:
    curves.append(tmp_path, 1, {"loss": math.inf, "kl": 0.5})
    assert curves.read(tmp_path)["kl"] == [(1, 0.5)]
