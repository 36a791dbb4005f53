"""Grading answers with code: side by side, kept as it comes, never wrong for want of a sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import SandboxError
from evalkit.events import Event, Note
from evalkit.grading import cells as grading
from evalkit.grading.grade import UNGRADED
from evalkit.reporting.notes import notes
from evalkit.run import hold
from evalkit.sandbox import about, host
from evalkit.sandbox.limits import Failed, Limits
from evalkit.sandbox.program import opened
from evalkit.storage.store import Store
from evalkit.storage.tables import read_table
from evalkit.types import Response, Sample, Score
from tests.sandboxes import started
from tests.small_exams import doubles, exam, matrix, right_below, row, sit

QUICK = Limits(seconds=0.3, clock=5.0, total=5.0)


def by_running(sample: Sample, response: Response) -> Score:
    """Right when a program that is made of the answer returns the target."""
    try:
        with opened(QUICK) as program:
            program.run(f"def f():\n    return {response.text or None}")
            value = program.call("f")
    except Failed as failed:
        outcome = "timed_out" if failed.how == "timed out" else ""
        return Score(0.0, response.text, {"ended": failed.how}, outcome)
    return Score(float(str(value) == sample.target), response.text)


def columns(results: Path) -> dict[str, list[Any]]:
    (cell,) = Store(results).cells()
    table = read_table(cell.scores_path())
    return {name: table.column(name).to_pylist() for name in ("id", "value", "outcome", "details")}


def test_code_is_graded_the_same_side_by_side(tmp_path: Path) -> None:
    sit(tmp_path / "one", doubles(30, score=by_running), right_below(20))
    sit(tmp_path / "many", doubles(30, score=by_running, runs_code=True), right_below(20))
    (one,), (many,) = Store(tmp_path / "one").cells(), Store(tmp_path / "many").cells()
    assert one.scores_path().read_bytes() == many.scores_path().read_bytes()
    assert many.grades_path().exists()  # what code did is kept for good


def test_a_timeout_is_wrong_and_an_outcome_of_its_own(tmp_path: Path) -> None:
    def endless(request: Any) -> Response:
        return Response("[None for _ in iter(int, 1)]" if request.sample.id == "3" else "0")

    sit(tmp_path, doubles(5, score=by_running, runs_code=True), endless)
    found = columns(tmp_path)
    assert found["outcome"][found["id"].index("3")] == "timed_out"
    assert found["value"][found["id"].index("3")] == 0.0
    assert sorted(found["outcome"]) == ["correct", "timed_out", "wrong", "wrong", "wrong"]


def test_the_cell_says_where_its_code_ran(tmp_path: Path) -> None:
    sit(tmp_path, doubles(3, score=by_running, runs_code=True))
    (cell,) = Store(tmp_path).cells()
    environment = cell.meta()["environment"]
    assert environment["engine"] == "written"
    assert environment["sandbox"] == str(host.current().walls)
    assert environment["sandbox python"].startswith("3.")
    assert cell.meta()["within_reach"] == host.current().walls.within_reach


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SandboxError("no sandbox can be started here (namespaces: no)")

    monkeypatch.setattr(host, "current", fail)


def test_without_a_sandbox_answers_are_ungraded_and_graded_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = doubles(6, score=by_running, runs_code=True)
    said: list[Event] = []
    with monkeypatch.context() as patch:
        broken(patch)
        exams = [exam(task)]
        hold(matrix([row("base"), row("sft")], exams), tmp_path, said.append)
    notes = [event.text for event in said if isinstance(event, Note)]
    assert notes[:1] == [
        "error: no sandbox can be started here (namespaces: no); answers with code are left"
        " ungraded"
    ]
    for cell in Store(tmp_path).cells():
        ((outcome, count),) = cell.meta()["outcomes"][""].items()
        assert outcome.startswith(f"{UNGRADED}: no sandbox can be started here")
        assert count == 6
    _, log = sit(tmp_path / "again", task)
    hold(matrix([row("base"), row("sft")], [exam(task)]), tmp_path, said.append)
    for cell in Store(tmp_path).cells():
        assert cell.meta()["outcomes"] == {"": {"correct": 6}}
    assert len(log.asked) == 6


def test_what_is_not_graded_in_time_is_left_to_the_next_run_which_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[str] = []

    def scorer(sample: Sample, response: Response) -> Score:
        run.append(sample.id)
        time.sleep(0.05)
        return Score(1.0, response.text)

    task = doubles(40, score=scorer, runs_code=True)
    with monkeypatch.context() as patch:
        patch.setattr(grading, "CODE_SECONDS", 0.01)  # half a second for all of them
        sit(tmp_path, task)
    (cell,) = Store(tmp_path).cells()
    late = f"{UNGRADED}: no time left for this cell"
    assert cell.meta()["outcomes"][""] == {"correct": len(run), late: 40 - len(run)}
    assert 5 <= len(run) < 40
    done = set(run)
    run.clear()
    sit(tmp_path, task)
    assert cell.meta()["outcomes"] == {"": {"correct": 40}}
    assert done.isdisjoint(run)


KILLED = """
import os, sys, time
from pathlib import Path
from evalkit.types import Score
from tests.sandboxes import started
from tests.small_exams import doubles, sit

def scorer(sample, response):
    os.write(1, f"{sample.id}\\n".encode())
    time.sleep(0.05)
    return Score(1.0, response.text)

sit(Path(sys.argv[1]), doubles(40, score=scorer, runs_code=True))
"""


def test_grades_survive_a_kill(tmp_path: Path) -> None:
    def graded(stop_after: int) -> list[str]:
        command = [sys.executable, "-c", KILLED, str(tmp_path)]
        ids: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for line in child.stdout:
                ids.append(line.strip())
                if len(ids) == stop_after:
                    os.kill(child.pid, signal.SIGKILL)
        return ids

    first = graded(20)
    second = graded(1000)
    assert len(first) >= 20
    assert len(second) <= 40 - 20 + host.width()  # what was being graded is graded again
    assert set(first) | set(second) == {str(number) for number in range(40)}
    assert columns(tmp_path)["outcome"] == ["correct"] * 40


def test_a_weak_sandbox_is_told_before_grading_and_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = started("bare")
    monkeypatch.setattr(host, "current", lambda: bare)
    said: list[Event] = []
    task = doubles(3, score=by_running, runs_code=True)
    held = hold(matrix([row("base"), row("sft")], [exam(task)]), tmp_path, said.append)
    warned = [event.text for event in said if isinstance(event, Note) and "warning" in event.text]
    assert len(warned) == 1
    assert warned[0].startswith("warning: model code could reach the network, files that")
    assert warned[0].removeprefix("warning: ") in notes(held)
    (cell, _) = Store(tmp_path).cells()
    assert cell.meta()["environment"]["sandbox"] == "rlimits"


def test_what_a_weak_sandbox_leaves_within_reach_is_told() -> None:
    assert about.warning([]) == ""
    assert about.warning(["the network"]).startswith("model code could reach the network: run it")
    assert "a, b and c" in about.warning(["a", "b", "c"])
