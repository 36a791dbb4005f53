"""`show CELL --against OTHER` lists what a cell lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.errors import StoreError
from evalkit.storage.store import Cell
from evalkit.storage.tables import read_table

CONFIG = """
baseline: good
checkpoints:
  - {name: good, backend: {name: echo, skill: 0.9}}
  - {name: bad, backend: {name: echo, skill: 0.4}}
tasks: [mini-arithmetic, mini-instruct]
limit: 40
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lost")
    (folder / "run.yaml").write_text(CONFIG)
    run = ["run-matrix", str(folder / "run.yaml"), "--results", str(folder)]
    assert CliRunner().invoke(cli, run).exit_code == 0
    return folder


def cell(results: Path, task: str, checkpoint: str) -> Path:
    (found,) = (results / task).glob(f"{checkpoint}-*")
    return found


def lost(results: Path, of: str, against: str) -> Result:
    cells = [str(cell(results, "mini-arithmetic", name)) for name in (of, against)]
    return CliRunner().invoke(cli, ["show", cells[0], "--against", cells[1]])


def values(folder: Path) -> dict[str, float]:
    rows = read_table(Cell(folder).scores_path()).to_pylist()
    return {row["id"]: row["value"] for row in rows}


def test_the_lost_samples_are_those_that_the_other_cell_scores_higher_on(results: Path) -> None:
    good, bad = (values(cell(results, "mini-arithmetic", name)) for name in ("good", "bad"))
    listed = lost(results, "bad", "good").output.splitlines()
    expected = sorted(sample for sample in good if bad[sample] < good[sample])
    assert len(expected) > 5
    assert [line.split("\t")[0] for line in listed] == expected
    assert all(line.split("\t")[1:] == ["1 → 0", "unparsed"] for line in listed)


def test_a_cell_that_lost_nothing_lists_nothing(results: Path) -> None:
    assert lost(results, "good", "bad").output.strip() == ""


def test_cells_of_two_tasks_are_refused_by_name(results: Path) -> None:
    one, other = cell(results, "mini-arithmetic", "bad"), cell(results, "mini-instruct", "good")
    with pytest.raises(StoreError, match=f"{one}.*{other}.*one task's cells"):
        CliRunner().invoke(cli, ["show", str(one), "--against", str(other)], catch_exceptions=False)
