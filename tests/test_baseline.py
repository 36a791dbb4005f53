"""The baseline registry: which checkpoint is the one to beat, and what that was before."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.errors import ConfigError, StoreError, UnknownName
from evalkit.series.baseline import history, promote
from evalkit.storage.store import Store
from tests.small_exams import doubles, exam, held, row

CONFIG = """\
baseline: registered
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.9}}
  - {name: sft, backend: {name: echo, skill: 0.8}, parent: base}
tasks: [mini-arithmetic]
limit: 40
"""
MARCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Results of two checkpoints."""
    held([row("base"), row("sft")], [exam(doubles(4))], tmp_path)
    return Store(tmp_path)


def called(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, words)))


def test_the_last_promotion_counts_and_the_history_stays(store: Store) -> None:
    promote(store, "base", "the first", MARCH)
    first = (store.root / "baselines.jsonl").read_bytes()
    promote(store, "sft", "better\nat  arithmetic")
    assert (store.root / "baselines.jsonl").read_bytes().startswith(first)
    base, sft = history(store.root)
    assert (base.name, base.when, base.why) == ("base", "2026-03-01T12:00:00Z", "the first")
    assert (sft.name, sft.identity, sft.why) == ("sft", "weights of sft", "better at arithmetic")


def test_a_name_without_results_cannot_be_promoted(store: Store) -> None:
    with pytest.raises(UnknownName, match=r"'sff'; did you mean 'sft'\?"):
        promote(store, "sff", "")
    assert not (store.root / "baselines.jsonl").exists()


def test_of_two_weights_of_one_name_those_used_last_are_meant(tmp_path: Path) -> None:
    for identity in ("old", "new", "old"):
        held([row("base", identity=identity)], [exam(doubles(4))], tmp_path)
    assert promote(Store(tmp_path), "base", "").identity == "old"


def test_weights_that_cannot_be_told_have_no_identity(tmp_path: Path) -> None:
    held([row("served", identity="unstated-1234")], [exam(doubles(4))], tmp_path)
    assert promote(Store(tmp_path), "served", "").identity == ""


def test_a_line_that_is_no_promotion_is_named(store: Store) -> None:
    promote(store, "base", "")
    with (store.root / "baselines.jsonl").open("a") as file:
        file.write('{"name": "sft"}\n')
    with pytest.raises(StoreError, match=r"baselines\.jsonl:2: not a promotion"):
        history(store.root)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config whose baseline is the registered one."""
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    return path


def asked(config: Path, results: Path) -> None:
    """A run with a baseline of the file's own, so that there is something to promote."""
    named = config.with_name("named.yaml")
    named.write_text(CONFIG.replace("registered", "base"))
    assert called("run-matrix", named, "--results", results).exit_code == 0


def test_a_config_can_leave_the_baseline_to_the_registry(config: Path, tmp_path: Path) -> None:
    results = tmp_path / "r"
    asked(config, results)
    for name in ("base", "sft"):
        promoted = called("baseline", "promote", name, "--why", "tried", "--results", results)
        assert promoted.exit_code == 0
        assert called("run-matrix", config, "--results", results).exit_code == 0
        verdict = json.loads((results / "report/verdict.json").read_text())
        assert verdict["baseline"] == name
        assert verdict["candidates"][0]["against"] == name


def test_other_weights_under_the_registered_name_are_refused(config: Path, tmp_path: Path) -> None:
    results = tmp_path / "r"
    asked(config, results)
    called("baseline", "promote", "base", "--results", results)
    config.write_text(CONFIG.replace("0.9", "0.95"))
    refused = called("run-matrix", config, "--results", results)
    assert isinstance(refused.exception, ConfigError)
    assert "base is not what was promoted" in str(refused.exception)


def test_nothing_registered_and_a_name_not_in_the_file_are_told(
    config: Path, tmp_path: Path
) -> None:
    results = tmp_path / "r"
    nothing = called("gate", config, "--results", results)
    assert isinstance(nothing.exception, ConfigError)
    assert "c.yaml:1: baseline: no baseline is registered" in str(nothing.exception)
    asked(config, results)
    called("baseline", "promote", "base", "--results", results)
    config.write_text(CONFIG.replace("name: base,", "name: bass,").replace("parent: base", ""))
    absent = called("run-matrix", config, "--results", results)
    assert "'base' is registered, not here; did you mean 'bass'?" in str(absent.exception)


def test_a_checkpoint_that_is_called_registered_is_itself(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("name: base,", "name: registered,").replace(
        "parent: base", "parent: registered"))  # fmt: skip
    assert called("run-matrix", config, "--results", tmp_path / "r").exit_code == 0


def test_the_registry_is_shown_newest_first(store: Store) -> None:
    empty = called("baseline", "show", "--results", store.root)
    assert isinstance(empty.exception, StoreError)
    promote(store, "base", "the first", MARCH)
    promote(store, "sft", "")
    shown = called("baseline", "show", "--results", store.root).output.splitlines()
    assert [line.split()[0] for line in shown] == ["baseline", "sft", "base"]
    told = json.loads(
        called("baseline", "show", "--results", store.root, "--format", "json").output
    )
    assert [each["name"] for each in told] == ["sft", "base"]
