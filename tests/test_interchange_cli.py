"""`evalkit import`, `export` and `gate --stored`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evalkit.cli import cli
from evalkit.errors import ConfigError, DataError, EvalkitError
from tests.interchange_logs import LOGS

GATE = """\
baseline: base
checkpoints: [{name: base}, {name: tuned}]
tasks: [tiny_choice, tiny_words]
gate: {margins: {tiny_choice: MARGIN, tiny_words: 60}}
"""


def evalkit(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(each) for each in arguments])
    if isinstance(result.exception, EvalkitError):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    for name in ("base", "tuned"):
        found = evalkit("import", LOGS / "lm-eval" / name, "--results", folder, "--name", name)
        assert found.exit_code == 0
        assert len(found.stdout.splitlines()) == 2
        assert "skipped tiny_text" in found.stderr
    return folder


def gate_file(folder: Path, text: str) -> Path:
    path = folder / "gate.yaml"
    path.write_text(text)
    return path


def test_imported_checkpoints_are_compared_by_name(results: Path) -> None:
    found = evalkit("compare", "base", "tuned", "--results", results)
    assert found.exit_code == 0
    assert "tiny_choice" in found.stdout


@pytest.mark.parametrize(("margin", "code"), [("60", 0), ("{points: 1, gate: true}", 3)])
def test_a_gate_judges_imported_checkpoints(
    results: Path, tmp_path: Path, margin: str, code: int
) -> None:
    path = gate_file(tmp_path, GATE.replace("MARGIN", margin))
    where = ("--results", results, "--report-dir", tmp_path / "report")
    assert evalkit("gate", path, "--stored", *where).exit_code == code
    assert (tmp_path / "report" / "verdict.json").exists()


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("tiny_words]", "tiny_word]", r"gate\.yaml:3: tasks\[1\]: .*did you mean 'tiny_words'"),
        ("name: tuned", "name: tunde", r"gate\.yaml:2: checkpoints\[1\]: .*did you mean 'tuned'"),
        ("tiny_words: 60", "words: 60", r"gate\.yaml:4: gate\.margins\.words: no such"),
        ("baseline: base", "baseline: bas", r"gate\.yaml:1: baseline: .*did you mean 'base'"),
    ],
)
def test_a_name_that_the_results_lack_is_told_with_its_line(
    results: Path, tmp_path: Path, wrong: str, right: str, message: str
) -> None:
    path = gate_file(tmp_path, GATE.replace("MARGIN", "5").replace(wrong, right))
    with pytest.raises(ConfigError, match=message):
        evalkit("gate", path, "--stored", "--results", results)


def test_an_export_says_what_it_wrote(results: Path, tmp_path: Path) -> None:
    found = evalkit(
        "export", "base", "--results", results, "--format", "lm-eval", "--out", tmp_path
    )
    assert [Path(line).exists() for line in found.stdout.splitlines()] == [True] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "no such file or folder"),
        ((LOGS / "tasks",), "no log of lm-eval, inspect, every-eval-ever in it"),
        ((LOGS / "lm-eval" / "base", "--format", "inspect"), "no log of"),
        ((LOGS / "lm-eval" / "base", "--metric", "f1"), "nothing was imported"),
        ((LOGS / "inspect" / "base", "--metric", "exactly"), "did you mean 'exact'"),
    ],
)
def test_what_cannot_be_imported_is_told(
    tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evalkit("import", *arguments, "--results", tmp_path)


def test_an_unknown_format_and_turned_bounds_are_usage_errors(tmp_path: Path) -> None:
    log = LOGS / "lm-eval" / "base"
    for wrong in (("--format", "lm_eval"), ("--bounds", 1, 0)):
        with pytest.raises(EvalkitError) as told:
            evalkit("import", log, *wrong, "--results", tmp_path)
        assert told.value.exit_code == 2
