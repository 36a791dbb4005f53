"""A results folder as pandas frames."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import evalkit
from evalkit.errors import StoreError, UnknownName
from evalkit.reporting.report import of_run
from evalkit.reporting.writing import write
from evalkit.run import Held
from evalkit.types import Request, Response
from tests.interchange_logs import LOGS, kept
from tests.small_exams import doubles, exam, held, right, right_below, row


def once_in_two(request: Request) -> Response:
    """Right in every other epoch; a failed request for item 3."""
    if request.sample.id == "3" and request.task.name == "doubles":
        return Response(error="down")
    return right(request) if request.epoch else Response("no idea")


def ran(folder: Path) -> Held:
    tasks = [
        exam(doubles(20, epochs=2, bounds=(-1.0, 1.0))),
        exam(doubles(30, name="more", domain="other")),
    ]
    return held([row("base", right), row("sft", once_in_two)], tasks, folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> evalkit.Results:
    folder = tmp_path_factory.mktemp("frames")
    write(of_run(ran(folder)), folder / "report", ())
    return evalkit.load(folder)


def test_there_is_a_row_for_each_cell_with_the_reports_own_scores(
    results: evalkit.Results,
) -> None:
    frame = results.cells.set_index(["task", "checkpoint"])
    assert list(frame.index) == [
        ("doubles", "base"),
        ("doubles", "sft"),
        ("more", "base"),
        ("more", "sft"),
    ]
    expected = {(s.task, s.checkpoint): s for s in of_run(ran(results.root)).scores}
    for key, score in expected.items():
        assert frame.loc[key, "score"] == score.score
        assert frame.loc[key, "n"] == score.n
    assert frame.loc[("doubles", "sft"), "outcome_errored"] == 2
    assert frame.loc[("more", "base"), "outcome_wrong"] == 0
    assert frame["folder"].map(lambda name: (results.root / name / "cell.json").exists()).all()


def test_samples_are_on_the_tasks_scale_and_oriented(results: evalkit.Results) -> None:
    frame = results.samples
    assert len(frame) == 2 * (2 * 20 + 30)
    of = frame.query("task == 'doubles' and checkpoint == 'sft' and id == '4'")
    assert sorted(zip(of["epoch"], of["value"], of["score"], strict=True)) == [
        (0, 0.0, 0.5),
        (1, 1.0, 1.0),
    ]
    missing = frame.query("id == '3' and checkpoint == 'sft' and task == 'doubles'")
    assert missing["score"].isna().all()
    assert frame["item"].str.fullmatch("[0-9a-f]{32}").all()


def test_answers_come_of_one_cell_or_of_all_and_join_by_item_and_epoch(
    results: evalkit.Results,
) -> None:
    some = results.answers("more", "base")
    assert len(some) == 30
    assert set(some["text"]) == {str(2 * number) for number in range(30)}
    assert len(results.answers(checkpoint="sft")) == 2 * 20 + 30
    both = results.answers().merge(results.samples)
    assert len(both) == len(results.samples)
    assert (both.query("score == 1")["text"] == both.query("score == 1")["target"]).all()


def test_comparisons_are_those_of_the_report_and_of_whatever_is_asked(
    results: evalkit.Results,
) -> None:
    reported = of_run(ran(results.root))
    rows = results.comparisons.to_dict("records")
    found = {(row["candidate"], row["against"], row["task"]): row["verdict"] for row in rows}
    for candidate in reported.candidates:
        for cell in candidate.cells:
            assert found[candidate.name, candidate.against, cell.task] == cell.verdict
    again = results.compare("base", "sft")
    assert list(again.columns) == list(results.comparisons.columns)
    assert set(again["against"]) == {"base"}
    turned = results.compare("sft", "base").query("task == 'more'")["delta"]
    assert turned.to_list() == (-again.query("task == 'more'")["delta"]).to_list()


def test_bare_scores_have_a_cell_and_no_samples(tmp_path: Path) -> None:
    for log in (LOGS / "lm-eval" / "base").glob("results_*.json"):
        (tmp_path / "logs").mkdir(exist_ok=True)
        (tmp_path / "logs" / log.name).write_bytes(log.read_bytes())
    kept(tmp_path / "results", "base", tmp_path / "logs")
    results = evalkit.load(tmp_path / "results")
    assert len(results.cells) > 0
    assert results.cells["score"].notna().all()
    assert len(results.samples) == len(results.answers()) == 0
    assert list(results.samples.columns) == ["task", "checkpoint"]


def test_of_cells_of_one_name_the_one_used_last_counts(tmp_path: Path) -> None:
    for prompt, answer in (("", right), ("Be brief.", right_below(5))):
        held([row("sft", answer, system_prompt=prompt)], [exam(doubles(20))], tmp_path)
    assert evalkit.load(tmp_path).cells["score"].to_list() == [0.25]
    assert len(evalkit.load(tmp_path).samples) == 20


def test_what_is_not_there_is_told_with_what_is(results: evalkit.Results, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown task 'mor'; did you mean 'more'"):
        results.answers("mor")
    with pytest.raises(UnknownName, match="unknown checkpoint 'x'; there are: base, sft"):
        results.answers(checkpoint="x")
    with pytest.raises(StoreError, match="no such folder"):
        evalkit.load(tmp_path / "none")
    with pytest.raises(StoreError, match="no cells in it"):
        _ = evalkit.load(tmp_path).cells
    with pytest.raises(StoreError, match=r"verdict.json: No such file"):
        _ = evalkit.load(tmp_path).comparisons


def test_every_frame_is_read_once(results: evalkit.Results) -> None:
    assert results.cells is results.cells
    assert results.samples is results.samples
    assert isinstance(results.samples, pd.DataFrame)


def test_loading_imports_nothing_that_is_not_asked_for(results: evalkit.Results) -> None:
    code = (
        f"import sys, evalkit; evalkit.load({str(results.root)!r})\n"
        "late = ('pandas', 'numpy', 'pyarrow', 'pydantic')\n"
        "print([name for name in late if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
