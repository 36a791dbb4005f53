"""What `evalkit list` tells of the tasks."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evalkit import plugins
from evalkit.cli import cli
from evalkit.exams.availability import at_hand
from evalkit.stats.power import mde


def listed(*words: str) -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(cli, ["list", "tasks", "--format", "json", *words])
    return {each["name"]: each for each in json.loads(result.output)}


def test_every_task_is_told_with_size_domain_k_licence_and_what_it_can_show() -> None:
    found = listed()
    assert {*found} >= {*plugins.all_plugins("tasks")}
    told = found["mmlu-pro"]
    assert (told["domain"], told["items"], told["epochs"]) == ("knowledge", 12032, 1)
    assert told["licence"] == "MIT"
    assert told["mde80"] == pytest.approx(mde(0.45, 12032))
    assert told["most_tokens"] == 12032 * 2048
    assert found["livecodebench:…"]["about"]
    for name, task in plugins.all_plugins("tasks").items():
        assert found[name]["items"], name
        assert found[name]["licence"], name
        assert found[name]["domain"] == task.domain


def test_tokens_are_what_earlier_answers_took(tmp_path: Path) -> None:
    assert listed("--results", str(tmp_path))["mini-copy"]["tokens"] is None
    cell = tmp_path / "mini-copy" / "base-12345678"
    cell.mkdir(parents=True)
    totals = {"answers": 10, "prompt_tokens": 300, "completion_tokens": 100}
    (cell / "cell.json").write_text(json.dumps({"task": "mini-copy", "totals": totals}))
    (tmp_path / "mini-copy" / "torn-1").mkdir()
    (tmp_path / "mini-copy" / "torn-1" / "cell.json").write_text('{"task":')
    found = listed("--results", str(tmp_path))["mini-copy"]
    assert found["tokens"] == 40 * found["items"]
    shown = CliRunner().invoke(cli, ["list", "tasks", "--results", str(tmp_path)]).output
    (line,) = [line for line in shown.splitlines() if line.startswith("mini-copy ")]
    assert line.split()[:6] == ["mini-copy", "copying", "297", "1", "12k", "6.5"]


def test_data_are_at_hand_in_the_folder_of_the_environment_or_in_the_hubs_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = plugins.task("gsm8k")
    assert task.source is not None
    monkeypatch.delenv("EVALKIT_DATA", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert not at_hand(task)
    assert at_hand(plugins.task("mini-copy"))
    snapshot = tmp_path / "home/hub/datasets--openai--gsm8k/snapshots" / task.source.revision
    snapshot.mkdir(parents=True)
    assert at_hand(task)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("EVALKIT_DATA", str(tmp_path / "data"))
    assert not at_hand(task)
    (tmp_path / "data/gsm8k").mkdir(parents=True)
    assert not at_hand(task)
    (tmp_path / "data/gsm8k/test.jsonl").touch()
    assert at_hand(task)


def test_the_list_comes_at_once() -> None:
    code = (
        "import sys; sys.argv = ['evalkit', 'list', 'tasks']; from evalkit.cli import main; main()"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize("kind", ["scorers", "backends", "trainers", "reports"])
def test_other_lists_come_as_json_too(kind: str) -> None:
    result = CliRunner().invoke(cli, ["list", kind, "--format", "json"])
    assert [each["name"] for each in json.loads(result.output)] == list(plugins.all_plugins(kind))
