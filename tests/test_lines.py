"""Declines along a line of training, as a report marks them on its curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evalkit.reporting.report import of_run
from evalkit.series.lines import changes, lines
from tests.small_exams import doubles, echo, exam, held, right, right_below, row


def test_a_line_of_training_runs_from_each_first_checkpoint_to_each_last() -> None:
    parents = {"base": "", "sft": "base", "dpo": "sft", "grpo": "sft", "other": ""}
    assert list(lines(parents)) == [["base", "sft", "dpo"], ["base", "sft", "grpo"], ["other"]]
    assert list(lines({"a": "b", "b": "a"})) == []
    assert list(lines({"a": "b", "b": "a", "c": "a"})) == [["b", "a", "c"]]


def test_a_decline_is_marked_once_where_it_began(tmp_path: Path) -> None:
    skills = {"base": 0.8, "sft": 0.8, "dpo": 0.6, "grpo": 0.6, "other": 0.6}
    parents = {"sft": "base", "dpo": "sft", "grpo": "dpo", "other": "dpo"}
    rows = []
    for seed, (name, skill) in enumerate(skills.items()):
        made = echo(name, skill, seed)
        rows.append(
            replace(made, checkpoint=replace(made.checkpoint, parent=parents.get(name, "")))
        )
    task = doubles(400, solution=lambda sample: str(sample.target))
    run = held(rows, [exam(task)], tmp_path)
    (found,) = of_run(run).changes
    assert (found.task, found.checkpoint, found.before) == ("doubles", "dpo", "sft")
    assert found.delta < -0.1
    assert found.p < 0.05


def test_two_checkpoints_are_no_series(tmp_path: Path) -> None:
    rows = [row("base", right), row("sft", right_below(100), parent="base")]
    run = held(rows, [exam(doubles(200))], tmp_path)
    assert of_run(run).changes == []
    assert changes([], {}) == []
