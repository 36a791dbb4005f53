"""A run finds out early what cannot be, does what is missing, and reports what was."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from evalkit import plugins
from evalkit.comparison.policy import Policy
from evalkit.configuration.config import load
from evalkit.configuration.resolve import resolve
from evalkit.errors import ConfigError, EvalkitError, ModelError, StoreError
from evalkit.events import Asked, Note, silent
from evalkit.matrix import Matrix, Row
from evalkit.reporting.report import of_run, of_store
from evalkit.reporting.writing import write
from evalkit.run import hold
from evalkit.storage.store import Store
from evalkit.terminal.progress import progress
from evalkit.training.pipeline import trained
from evalkit.types import Checkpoint, Response, Stage
from evalkit.verdict import Report
from tests.small_exams import (
    backend,
    checkpoint,
    doubles,
    echo,
    exam,
    held,
    matrix,
    right_below,
    row,
)

TRAINER = """
    from pathlib import Path
    from evalkit import Trainer
    from evalkit.errors import ConfigError

    def check(stage):
        if "typo" in stage.args:
            raise ConfigError("args: no such argument 'typo'")

    def run(stage):
        final = Path(stage.out) / "final"
        final.mkdir()
        (final / "model.safetensors").write_bytes(stage.name.encode())

    TRAINERS = (Trainer("writer", ("write",), run, check),)
"""


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real trainer in a distribution of its own, which child processes find too."""
    about = tmp_path / "site" / "evalkit_writer-1.0.dist-info"
    about.mkdir(parents=True)
    (tmp_path / "site" / "evalkit_writer.py").write_text(dedent(TRAINER))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: evalkit-writer\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[evalkit.trainers]\nwriter = evalkit_writer\n")
    root = str(Path(__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), root]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    plugins.forget()
    yield
    plugins.forget()
    sys.modules.pop("evalkit_writer", None)


def staged(*stages: Stage, first: Row | None = None) -> Matrix:
    """A declared baseline, and a row for each stage."""
    rows = [first or row("base")]
    rows += [
        Row(Checkpoint(stage.name, backend="written", parent=stage.parent, method="write"), b)
        for stage in stages
        for b in [backend()[0]]
    ]
    return matrix(rows, [exam(doubles(20))], stages=stages)


def test_stages_are_trained_in_order_and_join_the_matrix(tmp_path: Path, trainer: None) -> None:
    stages = (Stage("one", "write", "", "base"), Stage("two", "write", "", "one"))
    found = hold(staged(*stages), tmp_path / "r", silent)
    report = of_run(found)
    assert [(c.name, c.against) for c in report.candidates] == [
        ("one", "base"),
        ("two", "base"),
        ("two", "one"),
    ]
    assert len({note.identity for note in report.checkpoints}) == 3
    assert all(seat.row.checkpoint.model for seat in found.seats[1:])


def test_a_later_stage_that_cannot_be_run_is_told_with_its_line_before_any_is_trained(
    tmp_path: Path,
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "baseline: one\n"
        "pipeline:\n"
        "  - {name: one, method: pretrain, data: task:mini-copy}\n"
        "  - {name: two, method: sft, parent: one, data: task:mini-copy, args: {typo: 1}}\n"
        "tasks: [mini-copy]\n"
    )
    with pytest.raises(ConfigError, match=r"c\.yaml:4: pipeline\[1\]\.args: .*'typo'"):
        resolve(load(config))


def test_a_checkpoint_that_is_not_there_is_told_before_anything_is_trained(
    tmp_path: Path, trainer: None
) -> None:
    def identify(_: Checkpoint) -> str:
        raise ModelError("no checkpoint at models/bse")

    gone = Row(checkpoint(identity=""), replace(backend()[0], identify=identify))
    with pytest.raises(ModelError, match="models/bse"):
        hold(staged(Stage("one", "write", ""), first=gone), tmp_path / "r", silent)
    assert not (tmp_path / "r").exists()


def test_only_the_stages_asked_for_and_what_they_build_on_are_trained(
    tmp_path: Path, trainer: None
) -> None:
    stages = tuple(
        Stage(name, "write", "", parent)
        for name, parent in (("a", ""), ("b", "a"), ("c", "a"), ("d", "c"))
    )
    trained(staged(*stages), tmp_path, silent, ("d",))
    made = {path.name.partition("-")[0] for path in (tmp_path / "runs").iterdir()}
    assert made == {"a", "c", "d"}


def test_an_identity_that_cannot_be_told_is_never_reused(tmp_path: Path) -> None:
    asked_by, log = backend()
    nobody = Row(checkpoint(identity=""), replace(asked_by, identify=lambda _: ""))
    for _ in range(2):
        found = hold(matrix([nobody], [exam(doubles(10))]), tmp_path, silent)
    assert len(log.asked) == 20
    assert of_run(found).checkpoints[0].identity == ""


def test_presets_that_only_grade_are_asked_once_for_the_most_epochs(tmp_path: Path) -> None:
    asked_by, log = backend(right_below(5))
    plain = doubles(10)
    strict = replace(plain, preset="strict", presets={"strict": {}}, epochs=3)
    exams = [exam(plain), exam(strict)]
    for _ in range(2):
        found = hold(matrix([Row(checkpoint(), asked_by)], exams), tmp_path, silent)
    assert len(log.asked) == 30
    assert log.opened == 1
    assert [score.epochs for score in of_run(found).scores] == [1, 3]


def test_one_failed_checkpoint_leaves_the_others_measured_and_is_in_the_report(
    tmp_path: Path,
) -> None:
    def broken(_: Checkpoint) -> Any:
        raise ModelError("sft: no server at that address")

    bad = Row(checkpoint("sft"), replace(backend()[0], open=broken))
    found = held([row("base"), bad, row("dpo", right_below(5))], [exam(doubles(40))], tmp_path)
    report = of_run(found)
    assert found.failures == ["sft: no server at that address"]
    assert report.notes[0] == "sft: no server at that address"
    verdicts = {c.name: c.verdict for c in report.candidates}
    assert verdicts == {"sft": "invalid", "dpo": "regressed"}
    assert report.exit_code == 1
    assert [score.score for score in report.scores] == [1.0, None, 0.125]


def test_cells_of_another_treatment_are_comparable_and_say_so(tmp_path: Path) -> None:
    rows = [row("base"), row("prompted", system_prompt="Be brief.", identity="weights of base")]
    cell = of_run(held(rows, [exam(doubles(40))], tmp_path)).candidates[0].cells[0]
    assert cell.comparable
    assert cell.differences == ["system prompt: none → Be brief."]


def test_changed_data_under_one_candidate_are_two_exams_in_the_store(tmp_path: Path) -> None:
    held([row("base")], [exam(doubles(100))], tmp_path)
    held([row("new")], [exam(doubles(101))], tmp_path)
    cell = of_store(Store(tmp_path), ["base", "new"], Policy()).candidates[0].cells[0]
    assert cell.verdict == "invalid"
    assert not cell.comparable
    assert "data: " in cell.reason


def test_of_the_store_only_what_is_there_can_be_compared(tmp_path: Path) -> None:
    held([row("base"), row("sft", right_below(5))], [exam(doubles(40))], tmp_path)
    report = of_store(Store(tmp_path), ["base", "sft"], Policy())
    assert report.candidates[0].verdict == "regressed"
    with pytest.raises(StoreError, match=r"no cells of 'dpo' in .*; there are: base, sft"):
        of_store(Store(tmp_path), ["base", "dpo"], Policy())


def test_a_renamed_checkpoint_is_found_by_both_names(tmp_path: Path) -> None:
    task = exam(doubles(40))
    held([row("base"), row("old", right_below(5), identity="w")], [task], tmp_path)
    held([row("base"), row("new", right_below(5), identity="w")], [task], tmp_path)
    report = of_store(Store(tmp_path), ["base", "old", "new"], Policy())
    assert [c.cells[0].candidate_score for c in report.candidates] == [0.125, 0.125]


def test_a_name_means_the_checkpoint_that_went_by_it_last(tmp_path: Path) -> None:
    task, better, worse = exam(doubles(40)), right_below(30), right_below(5)
    for answer, weights in ((better, "1"), (worse, "2"), (better, "1")):
        held([row("base"), row("best", answer, identity=weights)], [task], tmp_path)
    report = of_store(Store(tmp_path), ["base", "best"], Policy())
    assert report.candidates[0].cells[0].candidate_score == 0.75


def test_a_report_holds_no_times_and_reads_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [echo("base", 0.9), echo("next", 0.5)]
    task = doubles(60, solution=lambda sample: str(sample.target))
    report = of_run(held(rows, [exam(task)], tmp_path / "r"))
    again = of_run(held(rows, [exam(task)], tmp_path / "s"))
    assert report == again
    (path, *_) = write(report, tmp_path / "out", ["junit"])
    assert Report.model_validate_json(path.read_bytes()) == report
    assert any("answered by echo, not by a model: base, next" in note for note in report.notes)


def test_the_same_weights_run_in_two_ways_share_their_answers_and_it_is_said(
    tmp_path: Path,
) -> None:
    same: dict[str, Any] = {"identity": "some weights"}
    rows = [row("a", **same), row("b", **same, options={"dtype": "float16"}), row("c", **same)]
    said = of_run(held(rows, [exam(doubles(5))], tmp_path)).notes
    assert "b is a, run in another way: the answers of one stand for both" in said
    assert not any(note.startswith("c is") for note in said)


def test_weights_that_are_made_smaller_are_another_checkpoint(tmp_path: Path) -> None:
    same: dict[str, Any] = {"identity": "some weights"}
    rows = [
        row("a", **same),
        row("b", lambda _: Response("?"), **same, options={"quantization": "4bit"}),
    ]
    report = of_run(held(rows, [exam(doubles(20))], tmp_path))
    assert [score.score for score in report.scores] == [1.0, 0.0]
    assert "quantization: none → 4bit" in report.candidates[0].cells[0].differences


def test_an_unknown_report_format_is_an_error(tmp_path: Path) -> None:
    report = of_run(held([row("base")], [exam(doubles(5))], tmp_path))
    with pytest.raises(EvalkitError, match="unknown report 'pdf'"):
        write(report, tmp_path / "out", ["pdf"])


def test_a_report_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    report = of_run(held([row("base")], [exam(doubles(5))], tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write(report, tmp_path / "file" / "out", [])


def test_one_checkpoint_alone_is_measured_and_has_nothing_to_regress_from(tmp_path: Path) -> None:
    report = of_run(held([row("base")], [exam(doubles(5))], tmp_path))
    assert (report.verdict, report.exit_code, report.candidates) == ("passed", 0, [])
    assert report.scores[0].score == 1.0


def test_progress_without_a_terminal_is_a_line_at_the_start_and_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress() as notify:
        for done in (1, 2, 3, 10):
            notify(Asked("base", "sums", done, 10, done // 3))
        notify(Note("training sft"))
    assert capsys.readouterr().err.splitlines() == [
        "base · sums: 1/10",
        "base · sums: 10/10, 3 errors",
        "training sft",
    ]


def test_the_last_line_of_a_cell_says_how_fast_it_was_asked_and_what_came_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"correct": 1_200, "scorer failed: KeyError: x": 1, "unparsed": 3, "wrong": 796}
    with progress() as notify:
        notify(Asked("base", "sums", 2_000, 2_000, 0, 1_234.5, 0.0, found))
    assert capsys.readouterr().err == (
        "base · sums: 2000/2000, 1,234 tokens/s, 1,200 correct, 796 wrong, 3 unparsed\n"
    )


def test_a_terminal_shows_how_far_and_how_fast_and_what_came_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with progress() as notify:
        notify(Asked("base", "[sums]", 500, 2_000, 0, 99.6, 3_700.0, {"correct": 400, "wrong": 90}))
        time.sleep(0.2)
    shown = capsys.readouterr().err
    for words in ("base · [sums]", "500/2000", "1:01:40", "100 tokens/s", "400 correct, 90 wrong"):
        assert words in shown
