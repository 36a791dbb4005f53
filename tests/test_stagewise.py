"""A pipeline stage by stage: what is asked when, what is told, and where a gate stops."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalkit.comparison.policy import Policy
from evalkit.errors import ConfigError, TrainingError
from evalkit.events import Event, Note, silent
from evalkit.matrix import Matrix, Row
from evalkit.reporting.report import of_run
from evalkit.training.stagewise import Outcome, parts, train_and_judge
from evalkit.types import Checkpoint, Stage
from evalkit.verdict import Report
from reports.junit import render as junit
from tests.small_exams import (
    Answering,
    Log,
    Written,
    backend,
    doubles,
    exam,
    matrix,
    right_below,
    row,
)
from tests.tiny_distribution import trainer_installed

TRAINER = """
    import json
    from pathlib import Path
    from evalkit import Stage, Trainer
    from evalkit.training import curves
    from evalkit.training import manifest

    def check(stage):
        pass

    def run(stage):
        out = Path(stage.out)
        with (out.parent / "calls").open("a") as calls:
            calls.write(f"{stage.name} {stage.reward}\\n")
        for step in (2, 4, 6):
            curves.append(out, step, {"loss": 1 / step, "reward": float("nan")})
            folder = out / ("final" if step == 6 else f"checkpoint-{step}")
            folder.mkdir()
            (folder / "model.safetensors").write_bytes(f"{stage.name} {stage.seed} {step}".encode())
            entry = {"event": "checkpoint", "run": stage.name, "step": step, "path": folder.name}
            manifest.append(out, entry)

    def prompts(stage):
        return [f"twice {i}?" for i in stage.args.get("learns", [])]

    METHODS = ("write", "score")
    TRAINERS = (Trainer("writer", METHODS, run, check, prompts=prompts, scorers=("score",)),)
"""
ITEMS = 200


@pytest.fixture(autouse=True)
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real trainer in a distribution of its own, which child processes find too."""
    with trainer_installed(tmp_path, monkeypatch, "evalkit_stages", TRAINER):
        yield


def stage(name: str, parent: str = "base", method: str = "write", **more: Any) -> Stage:
    return Stage(name, method, "", parent, **more)


def made(stage: Stage, answer: Answering) -> Row:
    checkpoint = Checkpoint(stage.name, backend="written", parent=stage.parent, method="write")
    return Row(checkpoint, backend(answer)[0])


def chain(*stages: Stage, right: tuple[int, ...] = (), **more: Any) -> Matrix:
    """A declared baseline that is right on all but ten items, and a row for each stage."""
    answers = [right_below(count) for count in right or (ITEMS,) * len(stages)]
    asked = [
        made(each, a) for each, a in zip(stages, answers, strict=True) if each.method != "score"
    ]
    rows = [row("base", right_below(ITEMS - 10)), *asked]
    return matrix(rows, [exam(doubles(ITEMS))], stages=stages, **more)


def told(
    whole: Matrix, folder: Path, *only: str, gate: bool = False
) -> tuple[Outcome, Report, list[str]]:
    """The outcome, its report, and what was said on the way."""
    said: list[Event] = []
    check = (lambda report: None) if gate else None
    outcome = train_and_judge(whole, only, folder, said.append, check)
    return outcome, of_run(outcome.held), [e.text for e in said if isinstance(e, Note)]


def calls(folder: Path) -> list[str]:
    path = folder / "runs" / "calls"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_each_stage_is_judged_before_the_next_is_trained(tmp_path: Path) -> None:
    whole = chain(stage("a"), stage("b", "a"), right=(ITEMS, ITEMS - 80))
    _, report, said = told(whole, tmp_path)
    assert said == [
        "training a (write)",
        "a against base: improved: arithmetic +5.0",
        "training b (write)",
        "b against base: regressed: arithmetic -35.0",
        "b against a: regressed: arithmetic -40.0",
    ]
    assert [(c.name, c.against) for c in report.candidates] == [
        ("a", "base"),
        ("b", "base"),
        ("b", "a"),
    ]


def test_a_second_run_trains_and_asks_nothing_and_reports_the_same(tmp_path: Path) -> None:
    whole = chain(stage("a", evaluate="every_save"), stage("b", "a"))
    _, first, _ = told(whole, tmp_path)
    logs = [each.backend for each in whole.rows]
    _, second, said = told(whole, tmp_path)
    assert calls(tmp_path) == ["a", "b"]
    assert first == second
    assert not any("training" in line for line in said)
    assert len(logs) == 3


@pytest.mark.parametrize(
    ("evaluate", "names"),
    [
        ("final", ["base", "a"]),
        ("every_save", ["base", "a@2", "a@4", "a"]),
        ([4], ["base", "a@4", "a"]),
        ([2, 6], ["base", "a@2", "a"]),  # the last one is the final one
    ],
)
def test_checkpoints_on_the_way_are_rows_with_their_lineage(
    tmp_path: Path, evaluate: str | list[int], names: list[str]
) -> None:
    _, report, _ = told(chain(stage("a", evaluate=evaluate)), tmp_path)
    notes = report.checkpoints
    assert [note.name for note in notes] == names
    assert [note.step for note in notes[1:]] == [
        int(name.partition("@")[2] or 6) for name in names[1:]
    ]
    assert all((note.parent, note.stage) == ("base", "a") for note in notes[1:])
    assert len({note.identity for note in notes}) == len(notes)


def test_a_checkpoint_on_the_way_decides_nothing(tmp_path: Path) -> None:
    def open_(checkpoint: Checkpoint) -> Written:
        return Written(right_below(ITEMS - 80 if checkpoint.on_the_way else ITEMS), Log())

    whole = chain(stage("a", evaluate="every_save"))
    last = whole.rows[-1]
    whole = replace(
        whole, rows=(whole.rows[0], replace(last, backend=replace(last.backend, open=open_)))
    )
    outcome, report, _ = told(whole, tmp_path, gate=True)
    verdicts = {c.name: (c.verdict, c.exit_code, c.on_the_way) for c in report.candidates}
    assert verdicts["a@2"] == ("regressed", 1, True)
    assert verdicts["a"] == ("passed", 0, False)
    assert (report.verdict, report.exit_code) == ("passed", 0)
    assert outcome.stopped == ""
    root = ElementTree.fromstring(junit(report))
    assert (root.get("failures"), root.get("errors")) == ("0", "0")


def test_a_step_that_was_not_saved_is_named_with_those_that_were(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"a did not save step 3 \(saved on the way: 2, 4\)"):
        told(chain(stage("a", evaluate=[3])), tmp_path)
    told(chain(stage("a", evaluate=[4])), tmp_path)  # nothing has to be trained again
    assert calls(tmp_path) == ["a"]


def test_a_checkpoint_removed_after_it_was_asked_keeps_its_row(tmp_path: Path) -> None:
    whole = chain(stage("a", evaluate="every_save"))
    _, before, _ = told(whole, tmp_path)
    (run,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    shutil.rmtree(run / "checkpoint-2")
    _, after, _ = told(whole, tmp_path)
    assert before == after
    (run / "kept.json").unlink()
    with pytest.raises(TrainingError, match="was removed before it could be evaluated"):
        told(whole, tmp_path)


def test_a_gate_stops_at_the_first_stage_that_regressed(tmp_path: Path) -> None:
    stages = (stage("a"), stage("b", "a"), stage("c", "b"))
    whole = chain(*stages, right=(ITEMS, ITEMS - 80, ITEMS))
    outcome, report, said = told(whole, tmp_path, gate=True)
    assert (outcome.stopped, outcome.left) == ("b", ("c",))
    assert calls(tmp_path) == ["a", "b"]
    assert report.exit_code == 1
    assert {c.name for c in report.candidates} == {"a", "b"}
    assert said[-1] == "b against a: regressed: arithmetic -40.0"
    outcome, _, _ = told(whole, tmp_path)  # without the gate it goes on where it stopped
    assert outcome.stopped == ""
    assert calls(tmp_path) == ["a", "b", "c"]


def test_a_loss_within_the_margin_stops_nothing(tmp_path: Path) -> None:
    policy = Policy(margins={"arithmetic": 0.2})
    whole = chain(stage("a"), stage("b", "a"), right=(ITEMS - 30, ITEMS - 30), policy=policy)
    outcome, report, _ = told(whole, tmp_path, gate=True)
    assert outcome.stopped == ""
    assert report.exit_code == 0


def test_a_gate_may_refuse_a_report(tmp_path: Path) -> None:
    def refuse(report: Report) -> None:
        raise ConfigError("no such margin")

    with pytest.raises(ConfigError):
        train_and_judge(chain(stage("a"), stage("b", "a")), (), tmp_path, silent, refuse)
    assert calls(tmp_path) == ["a"]


def test_stages_that_are_named_are_trained_with_what_they_build_on(tmp_path: Path) -> None:
    stages = (stage("a"), stage("b", "a"), stage("c", "a"))
    _, report, _ = told(chain(*stages), tmp_path, "c")
    assert calls(tmp_path) == ["a", "c"]
    assert {c.name for c in report.candidates} == {"a", "c"}


def test_a_reward_model_is_trained_and_not_asked(tmp_path: Path) -> None:
    scorer = stage("rm", method="score")
    tuned = stage("tuned", reward="model:rm")
    _, report, said = told(chain(scorer, tuned), tmp_path, "tuned")
    assert calls(tmp_path) == ["rm", "tuned"]
    used = (tmp_path / "runs" / "calls").read_text().splitlines()[1]
    assert used.endswith("/final")
    assert "/runs/rm-" in used
    assert said[:2] == ["training rm (score)", "training tuned (write)"]
    assert [note.name for note in report.checkpoints] == ["base", "tuned"]
    assert [note.stage for note in report.training] == ["rm", "tuned"]


def test_another_reward_model_is_another_run(tmp_path: Path) -> None:
    for seed in (0, 1):
        scorer = stage("rm", method="score", seed=seed)
        told(chain(scorer, stage("tuned", reward="model:rm")), tmp_path)
    assert calls(tmp_path) == ["rm", "tuned"] * 2


def test_a_baseline_that_is_trained_comes_first(tmp_path: Path) -> None:
    stages = (stage("a", ""), stage("first", ""))
    rows = [made(each, right_below(ITEMS)) for each in stages]
    whole = replace(matrix(rows, [exam(doubles(ITEMS))], stages=stages), baseline="first")
    assert [part.candidate for part in parts(whole)] == ["a", ""]
    _, report, said = told(whole, tmp_path, "a")
    assert [line for line in said if "training" in line] == [
        "training a (write)",
        "training first (write)",
    ]
    assert [(c.name, c.against) for c in report.candidates] == [("a", "first")]


def test_a_recipe_is_judged_with_its_last_seed(tmp_path: Path) -> None:
    stages = (stage("a-s0", seed=0), stage("a-s1", seed=1), stage("b", "a-s1"))
    whole = chain(*stages, recipes={"a": ("a-s0", "a-s1")})
    assert [part.candidate for part in parts(whole)] == ["", "a", "b"]
    assert [part.candidate for part in parts(whole, ["a-s1"])] == [""]
    _, report, said = told(whole, tmp_path)
    assert [line.partition(":")[0] for line in said if "against" in line] == [
        "a against base",
        "b against base",
        "b against a-s1",
    ]
    assert report.candidates[0].name == "b"


def test_what_a_stage_logged_is_in_the_report(tmp_path: Path) -> None:
    _, report, _ = told(chain(stage("a")), tmp_path)
    (note,) = report.training
    assert note.stage == "a"
    loss = next(curve for curve in note.curves if curve.name == "loss")
    assert (loss.steps, loss.values) == ([2, 4, 6], [0.5, 0.25, 0.166667])
    reward = next(curve for curve in note.curves if curve.name == "reward")
    assert reward.values == [None, None, None]
    assert note.flags == ["reward was no number at step 2"]


def test_training_on_what_is_asked_is_told_before_and_in_the_report(tmp_path: Path) -> None:
    whole = chain(stage("a", args={"learns": [3, 500]}))
    _, report, said = told(whole, tmp_path)
    learned = f"a learns 1 of the {ITEMS} questions of doubles, such as '3'"
    assert said[0].startswith(f"warning: {learned}")
    assert said[1] == "training a (write)"
    assert any(note.startswith(learned) for note in report.notes)
    _, again, said = told(whole, tmp_path)
    assert again.notes == report.notes  # though nothing was trained
    assert not any("warning" in line for line in said)
