"""The scores of a cell as a file: readable by other tools, and never misread by this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.comparison.scores import load
from evalkit.errors import StoreError
from evalkit.storage.store import Cell
from evalkit.storage.tables import SCORE_COLUMNS, write_table

READ_BY_PANDAS = """
import pandas, sys
table = pandas.read_parquet(sys.argv[1])
print(table["value"].mean(), table["outcome"].value_counts()["correct"], *table.columns)
"""


def row(number: int, at: int = 0, value: float | None = 1.0, **more: Any) -> dict[str, Any]:
    outcome = "correct" if value == 1 else "wrong"
    given = {"item": number.to_bytes(16, "big"), "epoch": at, "value": value, "outcome": outcome}
    return dict.fromkeys(SCORE_COLUMNS, "") | given | more


def written(folder: Path, rows: list[dict[str, Any]], **columns: str) -> Cell:
    cell = Cell(folder)
    write_table(cell.scores_path(), rows, {**SCORE_COLUMNS, **columns})
    return cell


def test_pandas_reads_the_file_as_it_is(tmp_path: Path) -> None:
    cell = written(tmp_path, [row(i, value=float(i % 2)) for i in range(100)])
    command = [sys.executable, "-c", READ_BY_PANDAS, str(cell.scores_path())]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert found == ["0.5", "50", *SCORE_COLUMNS]


def test_reading_scores_imports_no_pandas(tmp_path: Path) -> None:
    cell = written(tmp_path, [row(i, value=None if i == 3 else 1.0) for i in range(10)])
    code = (
        "import sys; from pathlib import Path; from evalkit.comparison.scores import load; "
        "from evalkit.storage.store import Cell; arm = load(Cell(Path(sys.argv[1])), {}, ''); "
        "print(arm.missing, 'pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(cell.path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == (
        "0.1 False\n"
    )


def test_rows_in_any_order_make_the_same_arm(tmp_path: Path) -> None:
    rows = [
        row(i, e, float((i + e) % 3 == 0), cluster="ab"[i % 2]) for i in range(9) for e in (0, 1)
    ]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    sorted_, mixed = written(tmp_path / "a", rows), written(tmp_path / "b", rows[::-1])
    here, there = load(sorted_, {}, ""), load(mixed, {}, "")
    assert np.array_equal(here.items, there.items)
    assert np.array_equal(here.values, there.values)
    assert here.outcomes == there.outcomes == {"correct": 6, "wrong": 12}
    assert here.clusters is not None
    assert there.clusters is not None
    assert len({*zip(here.clusters.tolist(), there.clusters.tolist(), strict=True)}) == 2


def test_a_row_that_is_not_there_is_a_missing_sample(tmp_path: Path) -> None:
    rows = [row(i, e) for i in range(5) for e in (0, 1)]
    arm = load(written(tmp_path, rows[:3] + rows[4:]), {}, "")
    assert arm.missing == 0.1
    assert arm.outcomes == {"correct": 9, "errored": 1}
    assert arm.score == 1.0


def test_items_without_a_cluster_are_clusters_of_their_own(tmp_path: Path) -> None:
    rows = [row(i, cluster="passage" if i in (1, 3) else "") for i in range(5)]
    clusters = load(written(tmp_path, rows), {}, "").clusters
    assert clusters is not None
    assert clusters[1] == clusters[3]
    assert len({*clusters.tolist()}) == 4


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(1), row(2), row(2)], "a sample is there twice"),
        ([row(1, 0), row(1, 1), row(2, 0), row(2, 0)], "a sample is there twice"),
        ([row(1), row(2, -1)], "its epochs run from -1 to 0"),
        ([row(1), row(2, 2_000_000_000)], "its epochs run from 0 to 2000000000"),
        ([row(i, 400 * (i == 7)) for i in range(401)], "its epochs run from 0 to 400"),
        ([row(1), row(2, outcome=None)], "its column outcome does not hold a text in every row"),
        ([row(1), row(2, cluster=None)], "its column cluster does not hold a text in every row"),
        ([row(1), row(2, item=None)], "its items are not identities"),
        ([row(1), row(2, epoch=None)], "its column epoch does not hold a number in every row"),
    ],
)
def test_rows_that_make_no_sense_are_an_error_that_names_the_file(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(StoreError, match=rf"scores\.parquet: {said}.*; remove the file"):
        load(written(tmp_path, rows), {}, "")


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [("item", "string", "x"), ("value", "string", "1"), ("epoch", "float64", 0)],
)
def test_a_column_of_another_type_is_an_error(
    tmp_path: Path, column: str, kind: str, value: object
) -> None:
    rows = [row(i) | {column: value} for i in range(3)]
    with pytest.raises(StoreError, match=r"scores\.parquet: its"):
        load(written(tmp_path, rows, **{column: kind}), {}, "")


def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path: Path) -> None:
    rows = [row(i, value=float(i % 3 == 0), cluster=f"passage {i % 7}") for i in range(200)]
    cell = written(tmp_path, rows)
    whole, sound = cell.scores_path().read_bytes(), load(cell, {}, "")
    noticed = 0
    for at in range(4, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        cell.scores_path().write_bytes(damaged)
        try:
            arm = load(cell, {}, "")
        except StoreError:
            noticed += 1
            continue
        assert np.array_equal(arm.items, sound.items)
        assert np.array_equal(arm.values, sound.values)
        assert arm.outcomes == sound.outcomes
    assert noticed > 100


def test_half_a_file_is_an_error_wherever_it_ends(tmp_path: Path) -> None:
    cell = written(tmp_path, [row(i) for i in range(50)])
    whole = cell.scores_path().read_bytes()
    for length in range(0, len(whole), 97):
        cell.scores_path().write_bytes(whole[:length])
        with pytest.raises(StoreError, match="not readable as Parquet"):
            load(cell, {}, "")
