"""In a step on GitHub the report is the step's summary, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.forge.summary import MOST_BYTES, put
from tests.test_cli import CONFIG


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path


def run(summary: Path | str, *args: str) -> Result:
    return CliRunner().invoke(cli, [*args], env={"GITHUB_STEP_SUMMARY": str(summary)})


def test_commands_of_one_step_write_one_summary_and_others_stay(home: Path) -> None:
    summary = home / "summary.md"
    summary.write_text("Trained for 3 h.")
    assert run(summary, "run-matrix", "c.yaml").exit_code == 0
    first = summary.read_text()
    assert first.startswith("Trained for 3 h.\n")
    assert (home / "results/report/report.md").read_text() in first
    assert run(summary, "gate", "c.yaml").exit_code == 1
    assert summary.read_text() == first
    run(summary, "gate", "c.yaml", "--report-dir", "elsewhere")
    assert summary.read_text().count("## ▼ evalkit: regressed") == 2


def test_a_newer_report_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    for report in ("old \\1 <!-- x -->", "new \\g<0>"):
        assert put(summary, report, tmp_path)
        summary.write_text(summary.read_text() + "after\n")
    text = summary.read_text()
    assert "new \\g<0>" in text
    assert "old" not in text
    assert text.count("after") == 2


def test_a_summary_that_has_no_room_is_left_as_it_is(home: Path) -> None:
    summary = home / "summary.md"
    summary.write_text("x" * (MOST_BYTES - 100))
    found = run(summary, "run-matrix", "c.yaml")
    assert found.exit_code == 0
    assert "no summary at" in found.stderr
    assert "over 1 MiB with what is there already" in found.stderr
    assert summary.read_text() == "x" * (MOST_BYTES - 100)


def test_a_summary_that_cannot_be_written_changes_no_exit_code(home: Path) -> None:
    found = run(home / "no" / "such", "run-matrix", "c.yaml", "--gate")
    assert found.exit_code == 1
    assert "No such file or directory" in found.stderr
