"""A checkpoint asked again: what is asked, what is told, and that no verdict changes by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.comparison.policy import Policy
from evalkit.errors import ModelError, UnknownName
from evalkit.events import silent
from evalkit.matrix import Matrix, Row
from evalkit.planning.noise import noise
from evalkit.planning.repeats import words
from evalkit.reporting.report import of_run, of_store
from evalkit.run import hold
from evalkit.storage.store import Store
from evalkit.types import Request, Response, Sampling, Task
from reports.markdown import render as markdown
from reports.terminal import render as terminal
from tests.small_exams import (
    Log,
    backend,
    checkpoint,
    doubles,
    exam,
    matrix,
    right,
    right_below,
    row,
)

TASK = doubles(100)


def moody(request: Request) -> Response:
    """Right the first time, wrong the second on the first twenty items."""
    return Response("no idea") if request.epoch and int(request.sample.id) < 20 else right(request)


def asked(answer: Callable[[Request], Response], task: Task = TASK) -> tuple[Matrix, Log]:
    """A matrix of one checkpoint answered by that function, and what it will be asked."""
    found, log = backend(answer)
    return matrix([Row(checkpoint(), found), row("sft", right_below(70))], [exam(task)]), log


def test_what_was_asked_once_is_asked_once_more(tmp_path: Path) -> None:
    whole, log = asked(right)
    hold(whole, tmp_path, silent)
    (note,) = noise(whole, "base", tmp_path, silent)
    assert len(log.asked) == 200
    assert (note.n, note.epochs, note.flip_rate, note.repeatable) == (100, 2, 0.0, True)
    assert note.ci is not None
    assert note.ci[1] > 0.01  # nothing flipped: that is no proof that nothing ever does


def test_a_second_time_nothing_is_asked(tmp_path: Path) -> None:
    whole, log = asked(moody)
    first = noise(whole, "base", tmp_path, silent)
    count = len(log.asked)
    assert noise(whole, "base", tmp_path, silent) == first
    assert len(log.asked) == count == 200


def test_several_answers_per_item_are_used_and_nothing_is_asked(tmp_path: Path) -> None:
    task = replace(TASK, epochs=4, sampling=Sampling(temperature=1.0))
    whole, log = asked(moody, task)
    hold(whole, tmp_path, silent)
    (note,) = noise(whole, "base", tmp_path, silent)
    assert len(log.asked) == 400
    assert note.epochs == 4
    assert note.flip_rate == pytest.approx(0.1)  # of (1, 2) and (3, 4) the first flips, in 20 items
    assert note.sd_delta == pytest.approx(math.sqrt(2 * 0.2 * 0.25 / (4 * 100)))
    assert note.repeatable


def test_flips_are_counted_and_greedy_sampling_that_differs_is_warned_of(tmp_path: Path) -> None:
    whole, _ = asked(moody)
    (note,) = noise(whole, "base", tmp_path, silent)
    assert (note.flip_rate, note.reworded, note.repeatable) == (0.2, 0.2, False)
    assert note.sd_delta == pytest.approx(math.sqrt(0.2 / 100))
    assert "WARNING: sampling is greedy" in words(note)


def test_other_words_of_the_same_score_are_told_too(tmp_path: Path) -> None:
    def wrong_otherwise(request: Request) -> Response:
        return Response(f"no idea {request.epoch}")

    whole, _ = asked(wrong_otherwise)
    (note,) = noise(whole, "base", tmp_path, silent)
    assert (note.flip_rate, note.reworded) == (0.0, 1.0)
    assert "100.0 % of the answers differ" in words(note)


def test_sampling_that_is_not_greedy_may_differ(tmp_path: Path) -> None:
    whole, _ = asked(moody, replace(TASK, sampling=Sampling(temperature=0.7)))
    (note,) = noise(whole, "base", tmp_path, silent)
    assert note.repeatable
    assert "WARNING" not in words(note)


def test_a_repeat_changes_no_verdict_and_is_not_asked_again(tmp_path: Path) -> None:
    whole, log = asked(moody)
    before = of_run(hold(whole, tmp_path, silent))
    noise(whole, "base", tmp_path, silent, limit=30)
    count = len(log.asked)
    after = of_run(hold(whole, tmp_path, silent))
    assert len(log.asked) == count == 130
    assert after.candidates == before.candidates
    assert after.scores == before.scores


def test_the_report_prints_what_was_found(tmp_path: Path) -> None:
    whole, _ = asked(moody)
    hold(whole, tmp_path, silent)
    noise(whole, "base", tmp_path, silent)
    report = of_run(hold(whole, tmp_path, silent, ask=False))
    assert [note.checkpoint for note in report.noise] == ["base"]
    said = "base in doubles: 20.0 % of 100 items score otherwise when asked again"
    assert said in " ".join(terminal(report).split())
    assert "the engine is not repeatable" in markdown(report)


def test_a_note_on_other_questions_is_not_printed(tmp_path: Path) -> None:
    whole, _ = asked(moody)
    noise(whole, "base", tmp_path, silent)
    (cell,) = Store(tmp_path).cells()
    found = cell.meta()["noise"]
    cell.write_meta(noise={"": {**found[""], "source": "another"}})
    assert of_run(hold(whole, tmp_path, silent)).noise == []


def test_who_can_never_be_asked_twice_has_no_noise(tmp_path: Path) -> None:
    def once(request: Request) -> Response:
        return Response(error="no such recording") if request.epoch else right(request)

    whole, _ = asked(once)
    hold(whole, tmp_path, silent)
    (note,) = noise(whole, "base", tmp_path, silent, limit=30)
    assert (note.n, note.flip_rate) == (0, None)
    assert words(note) == "base in doubles: no item was answered twice"
    assert of_run(hold(whole, tmp_path, silent)).noise == []


def test_a_server_that_dies_when_asked_again_costs_no_verdict(tmp_path: Path) -> None:
    whole, _ = asked(right)
    before = of_run(hold(whole, tmp_path, silent))
    dead, _ = asked(lambda request: Response(error="refused"))
    with pytest.raises(ModelError, match="refused"):
        noise(dead, "base", tmp_path, silent)
    assert of_run(hold(whole, tmp_path, silent, ask=False)).candidates == before.candidates
    assert of_store(Store(tmp_path), ["base", "sft"], Policy()).candidates == before.candidates


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    whole, _ = asked(right)
    with pytest.raises(UnknownName, match="unknown checkpoint 'bsae'; did you mean 'base'"):
        noise(whole, "bsae", tmp_path, silent)


def test_a_dead_server_is_an_error(tmp_path: Path) -> None:
    whole, _ = asked(lambda request: Response(error="refused"))
    with pytest.raises(ModelError, match="refused"):
        noise(whole, "base", tmp_path, silent)


CONFIG = """\
baseline: base
checkpoints:
  - {name: base, model: weights, backend: {name: echo, skill: 0.9}}
  - {name: sft, backend: {name: echo, skill: 0.8}}
pipeline: [{name: later, method: sft, parent: base, data: task:mini-instruct}]
tasks: [mini-arithmetic, mini-choice]
"""


def test_the_command_tells_a_line_for_each_task(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    given = ["noise", str(tmp_path / "c.yaml"), "--results", str(tmp_path / "r"), "--limit", "40"]
    result = CliRunner().invoke(cli, [*given])
    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "base in mini-arithmetic",
        "base in mini-choice",
    ]
    untrained = CliRunner().invoke(cli, [*given, "later"])
    assert untrained.exit_code == 1
    assert "later" in str(untrained.exception)
