"""A results folder is read by other tools: DuckDB runs the query that the documents show."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.comparison.policy import Policy
from evalkit.reporting.report import of_store
from evalkit.storage.store import Store
from evalkit.types import Response
from tests.small_exams import doubles, exam, held, right_below, row

duckdb = pytest.importorskip("duckdb")
PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def cut(request: object) -> Response:
        return Response("no", finish_reason="length")

    exams = [exam(doubles(40)), exam(replace(doubles(30), name="more"))]
    rows = [row("base", right_below(30)), row("cut", cut)]
    held(rows, exams, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def test_the_documented_query_gives_the_scores_of_the_report(results: Path) -> None:
    (query,) = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    found = duckdb.sql(query).fetchall()
    scores = of_store(Store(results), ["base", "cut"], Policy()).scores
    told = {(each.task, each.checkpoint): (each.n, each.score) for each in scores}
    assert len(found) == 4
    for task, cell, samples, score, truncated in found:
        name = cell.rpartition("-")[0]
        due, known = told[task, name]
        assert due == samples
        assert known == pytest.approx(score)
        assert truncated == (samples if name == "cut" else 0)


def test_lost_samples_are_a_join_on_the_item(results: Path) -> None:
    lost = duckdb.sql(
        "SELECT before.id FROM read_parquet('results/doubles/base-*/scores.parquet') before "
        "JOIN read_parquet('results/doubles/cut-*/scores.parquet') after USING (item, epoch) "
        "WHERE before.value > after.value"
    ).fetchall()
    assert {int(sample) for (sample,) in lost} == set(range(30))
