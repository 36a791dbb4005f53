"""A series of checkpoints: one matrix a task, where it changed, and when that may not be said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.errors import ConfigError, UnknownName
from evalkit.series.assembly import Series, of_store
from evalkit.series.trend import text, trend
from evalkit.storage.store import Store
from evalkit.storage.tables import SCORE_COLUMNS, read_table, write_table
from evalkit.types import Response, Sample, Score, Task
from tests.small_exams import doubles, echo, exam, held

TASK = doubles(400, solution=lambda sample: str(sample.target))
NAMES = ["step-1", "step-2", "step-3", "step-4", "step-5"]
SKILLS = [0.8, 0.82, 0.81, 0.7, 0.7]


def ran(results: Path, skills: Sequence[float] = SKILLS, task: Task = TASK) -> Store:
    """Echo checkpoints of these skills, all asked the task."""
    rows = [
        echo(name, skill, seed)
        for seed, (name, skill) in enumerate(zip(NAMES, skills, strict=False))
    ]
    held(rows, [exam(task)], results)
    return Store(results)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return ran(tmp_path_factory.mktemp("series"))


def only(found: list[Series]) -> Series:
    (one,) = found
    return one


def rescored(store: Store, name: str, change: dict[str, object], rows: slice) -> None:
    """Some rows of a cell's scores changed."""
    (cell,) = [cell for cell in store.cells() if cell.meta()["checkpoint"]["name"] == name]
    table = read_table(cell.scores_path()).to_pylist()
    for row in table[rows]:
        row.update(change)
    write_table(cell.scores_path(), table, SCORE_COLUMNS)


def test_a_series_is_a_matrix_of_checkpoints_by_items(store: Store) -> None:
    series = only(of_store(store, NAMES))
    assert series.values.shape == (5, 400)
    assert series.binary
    assert series.clusters is None
    scores = series.values.mean(axis=1)
    assert scores == pytest.approx(SKILLS, abs=0.06)


def test_the_order_is_the_one_given(store: Store) -> None:
    forth, back = only(of_store(store, NAMES)), only(of_store(store, NAMES[::-1]))
    assert np.array_equal(forth.values, back.values[::-1])
    assert back.checkpoints == tuple(NAMES[::-1])


def test_a_drop_is_found_where_it_began_and_named_against_the_best(store: Store) -> None:
    (task,) = trend(of_store(store, NAMES)).tasks
    assert [change.checkpoint for change in task.changes] == ["step-4"]
    assert task.first_decline is not None
    assert task.first_decline.checkpoint == "step-4"
    best = max(task.scores[:3], key=lambda point: point.score)
    assert task.first_decline.best == best.checkpoint
    assert task.first_decline.delta == pytest.approx(task.scores[3].score - best.score)


def test_a_series_that_rises_has_neither_change_nor_decline(tmp_path: Path) -> None:
    found = trend(of_store(ran(tmp_path, [0.5, 0.6, 0.7]), NAMES[:3]))
    (task,) = found.tasks
    assert (task.changes, task.first_decline) == ([], None)
    assert "no checkpoint is confirmed to be worse" in text(found)


def test_the_same_data_give_the_same_report(store: Store) -> None:
    assert trend(of_store(store, NAMES)) == trend(of_store(store, NAMES))


@pytest.mark.parametrize("names", [[], NAMES[:1], NAMES[:2]])
def test_fewer_than_three_checkpoints_are_no_series(store: Store, names: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"takes 3 checkpoints or more, not {len(names)}"):
        of_store(store, names)


def test_a_name_that_is_not_there_is_told_with_the_nearest(store: Store) -> None:
    with pytest.raises(UnknownName, match=r"'step-55'; did you mean 'step-5'\?"):
        of_store(store, ["step-1", "step-2", "step-55"])


def test_a_name_given_twice_is_refused(store: Store) -> None:
    with pytest.raises(ConfigError, match="step-1 is named twice"):
        of_store(store, ["step-1", "step-2", "step-1"])


def test_cells_of_different_exams_are_no_series_and_named(tmp_path: Path) -> None:
    ran(tmp_path)
    other = replace(TASK, version=2)
    held([echo("later", 0.8)], [exam(other)], tmp_path)
    series = only(of_store(Store(tmp_path), ["step-1", "step-2", "later"]))
    assert "later against step-1: two different exams (version: 1 → 2)" in series.invalid
    found = trend([series])
    assert not found.measured
    assert "invalid: later against step-1" in text(found)


def test_a_checkpoint_that_did_not_sit_the_task_is_named(tmp_path: Path) -> None:
    ran(tmp_path)
    held([echo("other", 0.5)], [exam(replace(TASK, name="else"))], tmp_path)
    series = only(of_store(Store(tmp_path), ["step-1", "step-2", "other"]))
    assert series.invalid == "other has no scores here"


def test_over_one_percent_missing_is_invalid_and_less_is_left_out(tmp_path: Path) -> None:
    store = ran(tmp_path)
    lost = {"value": float("nan"), "outcome": "errored"}
    rescored(store, "step-2", lost, slice(0, 4))
    series = only(of_store(store, NAMES))
    assert series.values.shape == (5, 396)
    assert not np.isnan(series.values).any()
    rescored(store, "step-2", lost, slice(0, 5))
    assert "step-2 against step-1: 1.2% of the candidate's samples" in (
        only(of_store(store, NAMES)).invalid
    )


def test_scores_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    store = ran(tmp_path)
    (cell,) = [cell for cell in store.cells() if "step-3" in cell.path.name]
    cell.scores_path().write_bytes(b"half a file")
    assert "not readable as Parquet" in only(of_store(store, NAMES)).invalid


def test_items_of_one_passage_count_as_one(tmp_path: Path) -> None:
    def samples(_: object) -> list[Sample]:
        return [Sample(str(i), f"{i}?", str(i), cluster=f"passage {i // 8}") for i in range(400)]

    task = replace(TASK, name="passages", samples=samples)
    series = only(of_store(ran(tmp_path, task=task), NAMES))
    assert series.clusters is not None
    assert len(np.unique(series.clusters)) == 50
    (found,) = trend([series]).tasks
    assert found.n == 400
    assert found.change is not None


def test_answers_asked_several_times_are_averaged(tmp_path: Path) -> None:
    series = only(of_store(ran(tmp_path, task=replace(TASK, epochs=4)), NAMES))
    assert not series.binary
    assert series.lattice == 4
    assert set(np.unique(series.values)) <= {0.0, 0.25, 0.5, 0.75, 1.0}


def test_a_task_where_less_is_better_is_turned_round(tmp_path: Path) -> None:
    def errors(sample: Sample, response: Response) -> Score:
        return Score(float(response.text != sample.target), response.text)

    task = replace(TASK, score=errors, higher_is_better=False)
    series = only(of_store(ran(tmp_path, task=task), NAMES))
    assert series.values.mean(axis=1) == pytest.approx(SKILLS, abs=0.06)


def test_the_command_prints_a_table_and_json(store: Store) -> None:
    call = ["trend", *NAMES, "--results", str(store.root)]
    shown = CliRunner().invoke(cli, call)
    assert shown.exit_code == 0
    assert "first confirmed decline: step-4" in shown.output
    told = json.loads(CliRunner().invoke(cli, [*call, "--format", "json"]).output)
    assert told["checkpoints"] == NAMES
    assert told["tasks"][0]["first_decline"]["checkpoint"] == "step-4"


def test_the_command_exits_4_where_something_was_not_measured(tmp_path: Path) -> None:
    ran(tmp_path)
    held([echo("other", 0.5)], [exam(replace(TASK, name="else"))], tmp_path)
    call = ["trend", "step-1", "step-2", "other", "--results", str(tmp_path)]
    assert CliRunner().invoke(cli, call).exit_code == 4
