"""The command line as people use it: real processes, real files, exit codes and one-line errors."""

from __future__ import annotations

import json
import os
import pty
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from evalkit import __version__
from evalkit.cli import main
from evalkit.storage.store import Store
from evalkit.storage.tables import read_table

Called = Callable[..., tuple[int, str, str]]

CONFIG = """\
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.9}}
  - {name: worse, backend: {name: echo, skill: 0.6}, parent: base}
  - {name: same, backend: {name: echo, skill: 0.9, seed: 3}, parent: worse}
tasks: [mini-arithmetic, mini-tools]
gate:
  margins: {mathematics: 5.0}
reports: [markdown, junit]
limit: 120
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path


def evalkit(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "evalkit.cli", *args],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **env},
        encoding="utf-8",
    )


@pytest.fixture
def called(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Called:
    """Runs the command in this process, which is quicker; its exit code, stdout and stderr."""

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evalkit", *args])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        return code, *capfd.readouterr()

    return call


def report_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "report").iterdir()}


def test_a_second_run_asks_nothing_and_reports_the_same_bytes(home: Path, called: Called) -> None:
    code, out, _ = called("run-matrix", "c.yaml", "--results", "r")
    first, cells = report_files(home / "r"), tree(home / "r")
    again, same, err = called("run-matrix", "c.yaml", "--results", "r")
    assert (code, out) == (again, same)
    assert report_files(home / "r") == first
    assert tree(home / "r") == cells
    assert set(first) == {"verdict.json", "report.md", "junit.xml"}
    assert "mini-arithmetic" not in err  # no cell was asked


def tree(folder: Path) -> dict[str, bytes]:
    """What the cells hold, byte for byte."""
    files = (path for path in folder.rglob("*.*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if path.parent.name != "report"}


def test_another_folder_gives_the_same_report(home: Path, called: Called) -> None:
    called("run-matrix", "c.yaml", "--results", "r")
    called("run-matrix", "c.yaml", "--results", "s")
    assert report_files(home / "r") == report_files(home / "s")


def test_a_run_exits_0_when_all_was_measured_and_the_gate_says_1(
    home: Path, called: Called
) -> None:
    assert called("run-matrix", "c.yaml")[0] == 0
    assert called("run-matrix", "c.yaml", "--gate")[0] == 1
    assert called("gate", "c.yaml")[0] == 1
    verdict = json.loads((home / "results/report/verdict.json").read_text())
    assert (verdict["verdict"], verdict["exit_code"]) == ("regressed", 1)
    found = [(c["name"], c["against"]) for c in verdict["candidates"]]
    assert found == [("worse", "base"), ("same", "base"), ("same", "worse")]


@pytest.mark.parametrize(
    ("skill", "margin", "code"),
    [
        ("0.9", "40.0", 0),
        ("0.9", "{points: 0.1, gate: true}", 3),
        ("0.9", "0.1", 2),
        ("0.5", "5.0", 1),
    ],
)
def test_the_gate_tells_passed_from_unclear_from_regressed(
    home: Path, called: Called, skill: str, margin: str, code: int
) -> None:
    text = "\n".join(line for line in CONFIG.splitlines() if "name: same" not in line)
    text = text.replace("skill: 0.6", f"skill: {skill}, seed: 1").replace("5.0", margin)
    (home / "c.yaml").write_text(text)
    assert called("run-matrix", "c.yaml", "--gate")[0] == code


def test_gating_before_anything_was_asked_is_4(home: Path, called: Called) -> None:
    code, out, _ = called("gate", "c.yaml")
    assert code == 4
    assert "invalid" in out.lower()
    assert not list((home / "results").rglob("answers.*"))


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["run-matrix", "none.yaml"], 2, "evalkit: none.yaml: no such file"),
        (["run-matrix"], 2, "Missing argument 'CONFIG'"),
        (["run-matrx", "c.yaml"], 2, "did you mean 'run-matrix'?"),
        (["run-matrix", "c.yaml", "--limit", "1"], 2, "--limit"),
        (["train", "c.yaml", "sft"], 2, "unknown stage 'sft'"),
        (["compare", "base", "sft"], 4, "no cells of 'base' in results; there are: nothing"),
        (["show", "results/x/y"], 4, "no cell at results/x/y: give a folder like"),
        (["report", "none.json"], 4, "none.json: No such file or directory; a run writes it"),
        (["report", "c.yaml"], 4, "c.yaml: not a verdict of schema 1"),
        (["list", "plugins"], 2, "plugins"),
    ],
)
def test_a_wrong_command_line_is_an_error_of_one_line(
    home: Path, called: Called, args: list[str], code: int, said: str
) -> None:
    found, out, err = called(*args)
    assert found == code
    assert said in err
    assert out == ""


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("mini-tools", "mini-tool", 2, "c.yaml:6: tasks[1]: unknown task 'mini-tool'; did you"),
        ("baseline: base", "baseline: [", 2, "c.yaml:3: not YAML"),
        ("skill: 0.6", "skill: much", 2, "option 'skill' must be of type float, not 'much'"),
        ("skill: 0.6", "skill: 2", 2, "skill is a share, from 0 to 1"),
        ("{name: echo, skill: 0.6}", "{name: replay, path: no.jsonl}", 4, "no.jsonl: No such file"),
        ("{name: echo, skill: 0.6}", "transformers_local, model: ./gone", 4, "gone"),
    ],
)
def test_a_wrong_file_costs_nothing_and_is_told_in_one_line(
    home: Path, called: Called, old: str, new: str, code: int, said: str
) -> None:
    (home / "c.yaml").write_text(CONFIG.replace(old, new))
    found, out, err = called("run-matrix", "c.yaml")
    assert found == code
    assert said in err
    assert err.count("\n") == 1
    assert out == ""
    assert not list(home.rglob("answers.*"))


def test_a_checkpoint_that_fails_does_not_keep_the_others_from_being_measured(
    home: Path, called: Called
) -> None:
    (home / "bad.jsonl").write_text('{"task": "mini-arithmetic"}\n')
    text = CONFIG.replace("{name: echo, skill: 0.6}", "{name: replay, path: bad.jsonl}")
    (home / "c.yaml").write_text(text)
    code, _, err = called("run-matrix", "c.yaml")
    assert code == 4
    assert "evalkit: " in err
    assert "bad.jsonl:1: a recorded answer needs the key 'id'" in err
    verdict = json.loads((home / "results/report/verdict.json").read_text())
    same = next(c for c in verdict["candidates"] if (c["name"], c["against"]) == ("same", "base"))
    assert {cell["verdict"] for cell in same["cells"]}.isdisjoint({"invalid"})
    assert verdict["exit_code"] == 4
    assert any("bad.jsonl:1" in note for note in verdict["notes"])


def test_results_of_another_version_are_refused_and_left_alone(home: Path, called: Called) -> None:
    called("run-matrix", "c.yaml")
    for path in (home / "results").rglob("cell.json"):
        path.write_text(path.read_text().replace('"schema": 1', '"schema": 9'))
    before = tree(home / "results")
    for command in (["run-matrix", "c.yaml"], ["gate", "c.yaml"], ["compare", "base", "same"]):
        code, out, err = called(*command)
        assert (code, out) == (4, "")
        assert "written by another version of evalkit (schema 9" in err
    assert tree(home / "results") == before


def test_a_results_folder_that_cannot_be_one_is_an_error(home: Path, called: Called) -> None:
    (home / "file").write_text("")
    code, _, err = called("run-matrix", "c.yaml", "--results", "file/r")
    assert code == 4
    assert "Not a directory: give another --results" in err


def test_what_the_results_hold_can_be_compared_shown_and_rendered_again(
    home: Path, called: Called
) -> None:
    called("run-matrix", "c.yaml")
    code, out, _ = called("compare", "base", "worse", "same")
    assert code == 0
    assert "worse" in out
    code, _, err = called("compare", "base", "worse", "base")
    assert code == 2
    assert "base is the baseline: name others" in err
    code, _, err = called("compare", "base", "wrose")
    assert (code, "there are: base, same, worse" in err) == (4, True)
    for name in ("terminal", "markdown", "junit", "json"):
        code, out, _ = called("report", "results/report/verdict.json", "--format", name)
        assert code == 0
        assert "worse" in out
    cell = next(cell for cell in Store(home / "results").cells() if "arith" in str(cell.path))
    code, out, _ = called("show", str(cell.path))
    assert json.loads(out)["task"] == "mini-arithmetic"
    sample = read_table(cell.answers_path).column("id").to_pylist()[0]
    code, out, _ = called("show", str(cell.path), sample)
    assert code == 0
    assert f"── {sample} · epoch 0" in out
    assert "target: " in out
    code, _, err = called("show", str(cell.path), f"{sample}?")
    assert code == 4
    assert f"an id there is {sample!r}" in err


def on_a_terminal(*args: str, **env: str) -> str:
    """What the command writes to a terminal; its stdout is a real pseudo-terminal."""
    read, write = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "evalkit.cli", *args],
        stdout=write,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "TERM": "xterm", **env},
    ):
        os.close(write)
        written = b""
        with suppress(OSError):  # the other end was closed
            while piece := os.read(read, 65_536):
                written += piece
    os.close(read)
    return written.decode().replace("\r\n", "\n")


def test_a_comparison_is_as_wide_as_the_terminal_and_coloured_only_there(
    home: Path, called: Called
) -> None:
    called("run-matrix", "c.yaml")
    command = ("compare", "base", "worse", "same")
    piped = evalkit(*command).stdout
    wide = on_a_terminal(*command, COLUMNS="170")
    assert "\x1b[" not in piped
    assert max(map(len, piped.splitlines())) <= 100
    assert "\x1b[1;31m▼" in wide
    bare = on_a_terminal(*command, COLUMNS="170", NO_COLOR="1")
    assert "\x1b" not in bare
    assert (bare.count("  interval"), piped.count("  interval")) == (2, 0)
    assert evalkit(*command, COLUMNS="170").stdout == bare


def test_hostile_text_cannot_drive_the_terminal(home: Path, called: Called) -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07\u202e\x9b31m\0\ud800\r"
    rows = [
        {
            "task": "mini-arithmetic",
            "id": "0 + 0 / 0",
            "text": f"a{nasty}b",
            "finish_reason": nasty.replace("\ud800", ""),
        }
    ]
    (home / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = CONFIG.replace("{name: echo, skill: 0.6}", "{name: replay, path: r.jsonl}")
    (home / "c.yaml").write_text(text.replace("limit: 120\n", ""))
    _, out, err = called("run-matrix", "c.yaml")
    shown = out + err
    for cell in Store(home / "results").cells():
        shown += called("show", str(cell.path))[1]
        for sample in {row.id for row in cell.answers().values() if row.response.text != ""}:
            if sample == "0 + 0 / 0":
                shown += called("show", str(cell.path), sample)[1]
    assert not {"\x1b", "\x07", "\u202e", "\x9b", "\0", "\r"} & {*shown}


@pytest.mark.parametrize("kind", ["tasks", "backends", "trainers", "reports"])
def test_everything_there_is_is_listed(home: Path, called: Called, kind: str) -> None:
    code, out, _ = called("list", kind)
    assert code == 0
    names = {"tasks": "mini-chat", "backends": "replay", "trainers": "dpo", "reports": "junit"}
    assert names[kind] in out


def test_a_terminal_without_utf_8_changes_no_exit_code(home: Path) -> None:
    done = evalkit("run-matrix", "c.yaml", "--gate", PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (home / "results/report/verdict.json").exists()


def test_a_reader_that_goes_away_changes_no_exit_code_and_loses_no_report(home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "evalkit.cli", "run-matrix", "c.yaml"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    os.close(write)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert (home / "results/report/report.md").exists()


def test_without_a_terminal_there_is_a_line_or_two_for_each_cell(home: Path) -> None:
    done = evalkit("run-matrix", "c.yaml")
    lines = [line for line in done.stderr.splitlines() if " · mini-" in line]
    assert len(lines) <= 2 * 6
    assert {line.partition(":")[0] for line in lines} == {
        f"{name} · {task}"
        for name in ("base", "worse", "same")
        for task in ("mini-arithmetic", "mini-tools")
    }


def test_the_version_and_the_help_are_there() -> None:
    assert evalkit("--version").stdout.strip().endswith(__version__)
    for command in ("run-matrix", "train", "gate", "compare", "report", "show", "list"):
        assert command in evalkit("--help").stdout


@contextmanager
def tiny_disk(folder: Path, size: str) -> Iterator[Path]:
    """A small file system; skipped where mounting is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_the_same_command_goes_on_later(
    home: Path, called: Called
) -> None:
    with tiny_disk(home / "small", "64k") as disk:
        code, _, err = called("run-matrix", "c.yaml", "--results", "small/r")
        assert code == 4
        assert "No space left on device" in err.splitlines()[-1]
        shutil.copytree(disk / "r", home / "r")
    kept = sum(len(cell.answers()) for cell in Store(home / "r").cells())
    assert kept > 0
    assert called("run-matrix", "c.yaml", "--results", "r")[0] == 0


def test_twelve_thousand_samples_take_seconds_and_little_memory(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from tests.small_exams import doubles, echo, exam, held
task = doubles(12_000, solution=lambda sample: str(sample.target))
found = held([echo("base", 0.9), echo("next", 0.5)], [exam(task)], Path({str(tmp_path)!r}))
from evalkit.reporting.report import of_run
assert of_run(found).exit_code == 1
# ru_maxrss would begin at what the tests' own process weighs
status = Path('/proc/self/status').read_text()
print(int(status.partition('VmHWM:')[2].split()[0]) // 1024)
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert after.ru_utime - before.ru_utime < 20
    assert int(done.stdout) < 600


FAST = """\
baseline: base
checkpoints:
  - {name: base, backend: {name: echo, skill: 0.9}}
  - {name: worse, backend: {name: echo, skill: 0.5}}
tasks: [mini-instruct, mini-arithmetic]
gate:
  margins: {instruction-following: 5.0}
"""


def test_a_fast_gate_asks_by_itself_and_exits_with_the_verdict(home: Path, called: Called) -> None:
    (home / "fast.yaml").write_text(FAST)
    code, out, _ = called("gate", "fast.yaml", "--fast", "--results", "r")
    assert code == 1
    assert "look 1 of 5" in out
    verdict = json.loads((home / "r" / "report" / "verdict.json").read_text())
    (looks,) = verdict["candidates"][0]["sequential"]
    assert looks["asked"] < looks["items"]
    markdown = (home / "r" / "report" / "report.md").read_text()
    assert "- instruction-following: look 1 of 5, asked 90 of 448 items" in markdown
    assert not (home / "r" / "mini-arithmetic").exists()


def test_uncapped_looks_belong_to_a_fast_gate(home: Path, called: Called) -> None:
    code, _, err = called("gate", "c.yaml", "--uncapped", "--results", "r")
    assert (code, err.count("\n")) == (2, 1)
    assert "--uncapped says how --fast plans its looks" in err
