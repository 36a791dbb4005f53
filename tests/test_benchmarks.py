"""The benchmark scripts run, small, and print the tables that the documentation shows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import (
    convert_rows,
    report,
    sandbox_cost,
    scale,
    simulate_clusters,
    simulate_errors,
    simulate_families,
    simulate_fast_designs,
    simulate_missing,
    simulate_strata,
    simulate_verdicts,
    text_neighbours,
)

SIMULATIONS = {
    simulate_clusters: 8,
    simulate_errors: 9,
    simulate_families: 7,
    simulate_fast_designs: 7,
    simulate_missing: 7,
    simulate_strata: 5,
    simulate_verdicts: 7,
}


def table(printed: str) -> list[list[str]]:
    """The cells of the rows below a Markdown table's head."""
    rows = [line for line in printed.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


@pytest.mark.parametrize("script", SIMULATIONS, ids=lambda script: script.__name__)
def test_a_simulation_prints_one_row_a_design_and_the_same_each_time(
    script: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulate", "--replicates", "3"])
    script.main()  # type: ignore[attr-defined]
    first = capsys.readouterr().out
    assert len(table(first)) == SIMULATIONS[script]  # type: ignore[index]
    script.main()  # type: ignore[attr-defined]
    assert capsys.readouterr().out == first


def test_how_alike_neighbouring_pieces_are_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["text_neighbours", "--characters", "80000"])
    text_neighbours.main()
    rows = table(capsys.readouterr().out)
    assert [row[0] for row in rows] == ["modules", "descriptions"]
    assert all(int(row[1]) > 15 and float(row[-1]) > 0 for row in rows)


def test_the_cost_of_the_sandbox_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sandbox_cost", "--programs", "3"])
    sandbox_cost.main()
    rows = table(capsys.readouterr().out)
    assert rows[-1][0] == "`python -I`, nothing isolated"
    assert all(float(row[2]) > 0 for row in rows[1:])


def test_the_scale_benchmark_judges_every_cell_and_keeps_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "emptied_cache", lambda: False)  # other tests' files stay cached
    size = scale.Size(checkpoints=3, tasks=8, samples=60)
    found = scale.measured(size, tmp_path)
    assert found["cells"] == 16
    assert sum(found["verdicts"].values()) == 2
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert len(made) == 24
    scale.make(size, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == made


@pytest.mark.parametrize("framework", ["openrlhf", "verl", "nemo_rl"])
def test_the_conversion_benchmark_converts_what_it_has_made(framework: str, tmp_path: Path) -> None:
    found = convert_rows.measured(framework, "grpo", 200, tmp_path)
    assert found["mb"] > 0.01
    assert found["mib"] > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "first-200.jsonl", "second-200.jsonl",
    ]  # fmt: skip


@pytest.mark.integration
def test_the_page_benchmark_writes_the_same_page_twice_and_clicks_through_it(
    tmp_path: Path,
) -> None:
    folder = report.make(tmp_path, tasks=4, checkpoints=5, samples=40)
    first, second = report.written(folder, 5), report.written(folder, 5)
    assert first["sha"] == second["sha"]
    assert 50_000 < first["bytes"] < 5_000_000
    clicked = report.viewed(folder)
    assert 0 < clicked["wall median"] <= clicked["wall worst"]
    assert 0 < clicked["mib"] < 300
